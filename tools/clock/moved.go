// Joins Go's package time, whose Now adds `moved` to the wall clock: what measures time is left alone.
package time

import (
	"sync/atomic"
	"syscall"
)

const lookEvery = 100 * Millisecond

var movedBy atomic.Int64

func moved() int64 { return movedBy.Load() }

// By how many seconds the clock is ahead stands in the file that CUSTODY_CLOCK names, as in "+86400".
func init() {
	file, given := syscall.Getenv("CUSTODY_CLOCK")
	if !given {
		return
	}
	go func() {
		for ; ; Sleep(lookEvery) {
			text, err := readFile(file)
			if err != nil {
				continue
			}
			var seconds int64
			for _, digit := range text {
				if digit >= '0' && digit <= '9' {
					seconds = seconds*10 + int64(digit-'0')
				}
			}
			movedBy.Store(seconds)
		}
	}()
}
