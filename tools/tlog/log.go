package main

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera/api"
	"github.com/transparency-dev/tessera/api/layout"
	"github.com/transparency-dev/tessera/fsck"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const height = 8

// files is a log as its folder has it, by path.
type files map[string][]byte

func load(folder string) (files, error) {
	all := files{}
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, err := filepath.Rel(folder, path)
		if err == nil && (name == layout.CheckpointPath || strings.HasPrefix(name, "tile/")) {
			all[name], err = os.ReadFile(path)
		}
		return err
	})
	return all, err
}

func (all files) read(path string) ([]byte, error) {
	if data, ok := all[path]; ok {
		return data, nil
	}
	return nil, fmt.Errorf("there is no %s", path)
}

// with is the same log with one byte changed.
func (all files) with(change change) files {
	other := make(files, len(all))
	for path, data := range all {
		other[path] = data
	}
	data := bytes.Clone(all[change.Path])
	data[change.At] ^= change.By
	other[change.Path] = data
	return other
}

func (all files) ReadCheckpoint(context.Context) ([]byte, error) {
	return all.read(layout.CheckpointPath)
}

func (all files) ReadTile(_ context.Context, level, index uint64, partial uint8) ([]byte, error) {
	return all.read(layout.TilePath(level, index, partial))
}

func (all files) ReadEntryBundle(_ context.Context, index uint64, partial uint8) ([]byte, error) {
	return all.read(layout.EntriesPath(index, partial))
}

// path is where C2SP tlog-tiles keeps what x/mod calls a tile.
func path(tile tlog.Tile) string {
	return strings.Replace(tile.Path(), "tile/8/", "tile/", 1)
}

// tiles reads tiles for tlog.TileHashReader, which believes none of them.
type tiles files

func (tiles) Height() int                                { return height }
func (tiles) SaveTiles(tiles []tlog.Tile, data [][]byte) {}
func (all tiles) ReadTiles(asked []tlog.Tile) ([][]byte, error) {
	read := make([][]byte, len(asked))
	for at, tile := range asked {
		data, err := files(all).read(path(tile))
		if err != nil {
			return nil, err
		}
		read[at] = data
	}
	return read, nil
}

func parseNote(data []byte, verifier note.Verifier) (tlog.Tree, error) {
	opened, err := note.Open(data, note.VerifierList(verifier))
	if err != nil {
		return tlog.Tree{}, err
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) != 4 || lines[0] != verifier.Name() {
		return tlog.Tree{}, fmt.Errorf("not a checkpoint of %s", verifier.Name())
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return tlog.Tree{}, err
	}
	root, err := tlog.ParseHash(lines[2])
	return tlog.Tree{N: size, Hash: root}, err
}

func entriesOf(bundle []byte) ([][]byte, error) {
	parsed := api.EntryBundle{}
	err := parsed.UnmarshalText(bundle)
	return parsed.Entries, err
}

// log is what x/mod has computed from the entries, and found to be what was signed.
type log struct {
	all    files
	tree   tlog.Tree
	leaves []tlog.Hash
	stored []tlog.Hash
}

func (l *log) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, len(indexes))
	for at, index := range indexes {
		if index >= int64(len(l.stored)) {
			return nil, fmt.Errorf("there is no stored hash %d", index)
		}
		hashes[at] = l.stored[index]
	}
	return hashes, nil
}

// recompute builds the tree from every entry and compares the root and each tile.
func recompute(all files, verifier note.Verifier) (*log, error) {
	data, err := all.read(layout.CheckpointPath)
	if err != nil {
		return nil, err
	}
	tree, err := parseNote(data, verifier)
	if err != nil {
		return nil, fmt.Errorf("checkpoint: %w", err)
	}
	l := &log{all: all, tree: tree}
	for bundle := int64(0); int64(len(l.leaves)) < tree.N; bundle++ {
		width := min(layout.EntryBundleWidth, tree.N-bundle*layout.EntryBundleWidth)
		data, err := all.ReadEntryBundle(context.Background(), uint64(bundle), uint8(width%layout.EntryBundleWidth))
		if err != nil {
			return nil, err
		}
		entries, err := entriesOf(data)
		if err != nil || int64(len(entries)) != width {
			return nil, fmt.Errorf("bundle %d has %d entries, not %d (%v)", bundle, len(entries), width, err)
		}
		for _, entry := range entries {
			leaf := tlog.RecordHash(entry)
			hashes, err := tlog.StoredHashesForRecordHash(int64(len(l.leaves)), leaf, l)
			if err != nil {
				return nil, err
			}
			l.leaves = append(l.leaves, leaf)
			l.stored = append(l.stored, hashes...)
		}
	}
	root, err := tlog.TreeHash(tree.N, l)
	if err != nil {
		return nil, err
	}
	if root != tree.Hash {
		return nil, fmt.Errorf("the entries give the root %v, signed is %v", root, tree.Hash)
	}
	for _, tile := range tlog.NewTiles(height, 0, tree.N) {
		expected, err := tlog.ReadTileData(tile, l)
		if err != nil {
			return nil, err
		}
		found, err := all.read(path(tile))
		if err != nil {
			return nil, err
		}
		if !bytes.Equal(found, expected) {
			return nil, fmt.Errorf("%s does not follow from the entries", path(tile))
		}
	}
	return l, nil
}

// prove proves this many records, from the tiles alone, to somebody who has only the signed root.
func (l *log) prove(count int64) (int64, error) {
	reader := tlog.TileHashReader(l.tree, tiles(l.all))
	if count > l.tree.N {
		count = l.tree.N
	}
	for at := int64(0); at < count; at++ {
		index := at
		if count > 1 {
			index = at * (l.tree.N - 1) / (count - 1)
		}
		proof, err := tlog.ProveRecord(l.tree.N, index, reader)
		if err != nil {
			return 0, err
		}
		if err := tlog.CheckRecord(proof, l.tree.N, l.tree.Hash, index, l.leaves[index]); err != nil {
			return 0, fmt.Errorf("record %d: %w", index, err)
		}
	}
	return count, nil
}

// goesOn proves from the tiles that the log begins with an earlier one.
func (l *log) goesOn(earlier tlog.Tree) error {
	if earlier.N == l.tree.N && earlier.Hash == l.tree.Hash {
		return nil
	}
	proof, err := tlog.ProveTree(l.tree.N, earlier.N, tlog.TileHashReader(l.tree, tiles(l.all)))
	if err != nil {
		return err
	}
	return tlog.CheckTree(proof, l.tree.N, l.tree.Hash, earlier.N, earlier.Hash)
}

func tessera(all files, verifier note.Verifier) error {
	hashes := func(bundle []byte) ([][]byte, error) {
		entries, err := entriesOf(bundle)
		leaves := make([][]byte, len(entries))
		for at, entry := range entries {
			leaves[at] = rfc6962.DefaultHasher.HashLeaf(entry)
		}
		return leaves, err
	}
	// As many workers as there are tiles in a small log: they end at the first difference, and its sender does not.
	return fsck.New(verifier.Name(), verifier, all, hashes, fsck.Opts{N: 8}).Check(context.Background())
}
