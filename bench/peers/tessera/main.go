// Appends to Tessera's POSIX log in this process, and answers one JSON object. What bench/append.ts is measured against.
//
//	tessera -folder f [-sequential n] [-appenders n -records n]
package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera"
	"github.com/transparency-dev/tessera/client"
	"github.com/transparency-dev/tessera/storage/posix"
	"golang.org/x/mod/sumdb/note"
)

const (
	size       = 400
	batchAge   = 10 * time.Millisecond
	checkpoint = 100 * time.Millisecond
	poll       = time.Millisecond
)

type answer struct {
	// Milliseconds until an entry has its place in the tree, and until a checkpoint covers it and its proof was made.
	Integrated []float64 `json:"integrated"`
	Published  []float64 `json:"published"`
	// Entries a second that many appenders at once have integrated.
	PerSecond float64 `json:"perSecond"`
}

func entry() *tessera.Entry {
	data := make([]byte, size)
	_, _ = rand.Read(data)
	return tessera.NewEntry(data)
}

func milliseconds(since time.Time) float64 { return float64(time.Since(since).Microseconds()) / 1000 }

func run() error {
	folder := flag.String("folder", "", "where the log is made")
	sequential := flag.Int("sequential", 0, "entries one after the other")
	appenders := flag.Int("appenders", 0, "at once")
	records := flag.Int("records", 0, "of all appenders")
	flag.Parse()
	ctx := context.Background()
	skey, vkey, err := note.GenerateKey(rand.Reader, "tessera.example/bench")
	if err != nil {
		return err
	}
	signer, err := note.NewSigner(skey)
	if err != nil {
		return err
	}
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return err
	}
	driver, err := posix.New(ctx, posix.Config{Path: *folder})
	if err != nil {
		return err
	}
	options := tessera.NewAppendOptions().WithCheckpointSigner(signer).WithBatching(256, batchAge).WithCheckpointInterval(checkpoint)
	appender, shutdown, reader, err := tessera.NewAppender(ctx, driver, options)
	if err != nil {
		return err
	}
	awaiter := tessera.NewPublicationAwaiter(ctx, reader.ReadCheckpoint, poll)
	told := answer{}
	for range *sequential {
		begun := time.Now()
		e := entry()
		future := appender.Add(ctx, e)
		index, err := future()
		if err != nil {
			return err
		}
		told.Integrated = append(told.Integrated, milliseconds(begun))
		_, signed, err := awaiter.Await(ctx, future)
		if err != nil {
			return err
		}
		opened, _, _, err := client.FetchCheckpoint(ctx, func(context.Context) ([]byte, error) { return signed, nil }, verifier, verifier.Name())
		if err != nil {
			return err
		}
		builder, err := client.NewProofBuilder(ctx, opened.Size, reader.ReadTile)
		if err != nil {
			return err
		}
		path, err := builder.InclusionProof(ctx, index.Index)
		if err != nil {
			return err
		}
		told.Published = append(told.Published, milliseconds(begun))
		leaf := rfc6962.DefaultHasher.HashLeaf(e.Data())
		if err := proof.VerifyInclusion(rfc6962.DefaultHasher, index.Index, opened.Size, leaf, path, opened.Hash); err != nil {
			return err
		}
	}
	if *records > 0 {
		var left atomic.Int64
		left.Store(int64(*records))
		var working sync.WaitGroup
		var failed atomic.Value
		begun := time.Now()
		for range *appenders {
			working.Add(1)
			go func() {
				defer working.Done()
				for left.Add(-1) >= 0 {
					if _, err := appender.Add(ctx, entry())(); err != nil {
						failed.Store(err)
						return
					}
				}
			}()
		}
		working.Wait()
		told.PerSecond = float64(*records) / time.Since(begun).Seconds()
		if err, ok := failed.Load().(error); ok {
			return err
		}
	}
	if err := shutdown(ctx); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(told)
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
