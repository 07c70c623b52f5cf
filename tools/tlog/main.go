// Checks an exported audit log with other people's implementations: golang.org/x/mod/sumdb/tlog and Tessera's fsck as a
// library. Only for tests.
//
//	tlog [-earlier note,note] [-prove n] [-every n] [-random n] [-seed n] folder vkey-file
//
// It answers one JSON object. Then it changes bytes of the log, one at a time, and tells which change either did not find:
// with -every each n-th byte of every file; with -random one byte in each kind of file, and n others.
package main

import (
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math/rand"
	"os"
	"regexp"
	"runtime"
	"sort"
	"strings"
	"sync"

	"golang.org/x/mod/sumdb/note"
	"k8s.io/klog/v2"
)

type change struct {
	Path string `json:"path"`
	At   int    `json:"at"`
	By   byte   `json:"by"`
}

var numbers = regexp.MustCompile(`[x\d]{3,4}(/\d{3})*`)

func kindOf(path string) string {
	return numbers.ReplaceAllString(path, "N")
}

func (all files) names() []string {
	names := []string{}
	for name := range all {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

// each lists every n-th byte of every file, and the first of each.
func (all files) each(n int) []change {
	list := []change{}
	for _, name := range all.names() {
		for at := 0; at < len(all[name]); at += n {
			list = append(list, change{name, at, 1})
		}
	}
	return list
}

func (all files) some(n int, seed int64) []change {
	random := rand.New(rand.NewSource(seed))
	at := func(name string) change { return change{name, random.Intn(len(all[name])), byte(1 + random.Intn(255))} }
	list := []change{}
	names := all.names()
	seen := map[string]bool{}
	for _, name := range names {
		if !seen[kindOf(name)] {
			seen[kindOf(name)] = true
			list = append(list, at(name))
		}
	}
	for range n {
		list = append(list, at(names[random.Intn(len(names))]))
	}
	return list
}

// changes leaves out what Go reads as the same signature: its base64 passes over the two bits that 68 bytes leave unused.
func (all files) changes(list []change) []change {
	last := func(of files) string {
		text := strings.TrimSuffix(string(of["checkpoint"]), "\n")
		at := strings.LastIndexByte(text, ' ') + 1
		signature, err := base64.StdEncoding.DecodeString(text[at:])
		if err != nil {
			return text
		}
		return text[:at] + string(signature)
	}
	left := []change{}
	for _, each := range list {
		if each.Path != "checkpoint" || last(all.with(each)) != last(all) {
			left = append(left, each)
		}
	}
	return left
}

type missed struct {
	XMod    []change `json:"xmod"`
	Tessera []change `json:"tessera"`
}

func (all files) flip(list []change, verifier note.Verifier) missed {
	found := missed{[]change{}, []change{}}
	work := make(chan change)
	var lock sync.Mutex
	var workers sync.WaitGroup
	for range runtime.NumCPU() {
		workers.Add(1)
		go func() {
			defer workers.Done()
			for each := range work {
				changed := all.with(each)
				_, xmod := recompute(changed, verifier)
				other := tessera(changed, verifier)
				lock.Lock()
				if xmod == nil {
					found.XMod = append(found.XMod, each)
				}
				if other == nil {
					found.Tessera = append(found.Tessera, each)
				}
				lock.Unlock()
			}
		}()
	}
	for _, each := range list {
		work <- each
	}
	close(work)
	workers.Wait()
	return found
}

type answer struct {
	Size       int64   `json:"size"`
	Root       string  `json:"root"`
	Proved     int64   `json:"proved"`
	Consistent []int64 `json:"consistent"`
	Flipped    int     `json:"flipped"`
	Missed     missed  `json:"missed"`
}

func run() (*answer, error) {
	earlier := flag.String("earlier", "", "files with earlier checkpoints, separated by commas")
	prove := flag.Int64("prove", 1<<62, "how many records to prove")
	every := flag.Int("every", 0, "change each n-th byte of every file")
	random := flag.Int("random", 0, "change one byte in each kind of file, and n others")
	seed := flag.Int64("seed", 1, "of what is random")
	flag.Parse()
	if flag.NArg() != 2 {
		return nil, fmt.Errorf("expected a folder and a file with the log's key")
	}
	vkey, err := os.ReadFile(flag.Arg(1))
	if err != nil {
		return nil, err
	}
	verifier, err := note.NewVerifier(strings.TrimSpace(string(vkey)))
	if err != nil {
		return nil, err
	}
	all, err := load(flag.Arg(0))
	if err != nil {
		return nil, err
	}
	l, err := recompute(all, verifier)
	if err != nil {
		return nil, err
	}
	if err := tessera(all, verifier); err != nil {
		return nil, fmt.Errorf("fsck: %w", err)
	}
	told := &answer{Size: l.tree.N, Root: fmt.Sprintf("%x", l.tree.Hash[:]), Consistent: []int64{}}
	if told.Proved, err = l.prove(*prove); err != nil {
		return nil, err
	}
	for _, file := range strings.FieldsFunc(*earlier, func(r rune) bool { return r == ',' }) {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		tree, err := parseNote(data, verifier)
		if err == nil {
			err = l.goesOn(tree)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		told.Consistent = append(told.Consistent, tree.N)
	}
	list := []change{}
	if *every > 0 {
		list = append(list, all.each(*every)...)
	}
	if *random > 0 {
		list = append(list, all.some(*random, *seed)...)
	}
	list = all.changes(list)
	told.Flipped, told.Missed = len(list), all.flip(list, verifier)
	return told, nil
}

func main() {
	quiet := flag.NewFlagSet("klog", flag.ExitOnError)
	klog.InitFlags(quiet)
	_ = quiet.Set("stderrthreshold", "FATAL")
	_ = quiet.Set("logtostderr", "false")
	klog.SetOutput(io.Discard)
	told, err := run()
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(told)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
