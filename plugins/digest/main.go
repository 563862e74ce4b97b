// Command digest is an outboard plugin that hashes folders.
package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"outboard.example/outboard"
)

type config struct {
	// Root is the folder that nothing leaves, relative to the plugin's working directory.
	Root string `json:"root"`
}

type request struct {
	// Path below the root.
	Path string `json:"path"`
}

type digest struct {
	Path   string `json:"path"`
	SHA256 string `json:"sha256"`
	Bytes  int64  `json:"bytes"`
}

// digester hashes below one folder, which may change while it runs.
type digester struct {
	mu   sync.RWMutex
	root string
}

func main() { newPlugin().Run() }

func newPlugin() *outboard.Plugin {
	d := &digester{}
	p := outboard.New("digest", "1.0.0")
	p.Concurrency = 4
	p.OnStart(outboard.Config(d.configure))
	p.OnConfig(outboard.Config(d.configure))
	p.Handle("file", outboard.Typed(d.file), outboard.Idempotent(),
		outboard.Description("SHA-256 of one file."))
	p.Handle("tree", outboard.Typed(d.tree), outboard.Idempotent(), outboard.Timeout(10*time.Minute),
		outboard.Description("SHA-256 of every file below a folder, in the order of their names."))
	return p
}

func (d *digester) configure(_ context.Context, config config) error {
	root, err := filepath.Abs(config.Root)
	if err != nil {
		return err
	}
	if about, err := os.Stat(root); err != nil || !about.IsDir() {
		return outboard.Errorf(outboard.CodeInvalidParams, "root is no folder: %s", root)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.root = root
	slog.Info("hashing", "root", root)
	return nil
}

// below gives the root, and a path as one that does not leave it.
func (d *digester) below(path string) (root, local string, err error) {
	if path == "" {
		path = "."
	}
	local = filepath.Clean(path)
	if !filepath.IsLocal(local) {
		return "", "", outboard.Errorf(outboard.CodeInvalidParams, "the path leaves the root: %s", path)
	}
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.root, local, nil
}

func (d *digester) file(ctx context.Context, in request) (digest, error) {
	root, local, err := d.below(in.Path)
	if err != nil {
		return digest{}, err
	}
	return hash(ctx, root, local)
}

func (d *digester) tree(ctx context.Context, in request) ([]digest, error) {
	root, local, err := d.below(in.Path)
	if err != nil {
		return nil, err
	}
	var paths []string
	err = fs.WalkDir(os.DirFS(root), filepath.ToSlash(local), func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			paths = append(paths, path)
		}
		return errors.Join(err, ctx.Err())
	})
	if err != nil {
		return nil, err
	}
	found := make([]digest, 0, len(paths))
	for i, path := range paths {
		one, err := hash(ctx, root, path)
		if err != nil {
			return nil, err
		}
		found = append(found, one)
		outboard.CallFrom(ctx).Progress(float64(i+1), float64(len(paths)), path)
	}
	return found, nil
}

func hash(ctx context.Context, root, local string) (digest, error) {
	file, err := os.Open(filepath.Join(root, local))
	if err != nil {
		return digest{}, err
	}
	defer file.Close()
	sum := sha256.New()
	size, err := io.Copy(sum, &reader{ctx, file})
	if err != nil {
		return digest{}, err
	}
	return digest{filepath.ToSlash(local), hex.EncodeToString(sum.Sum(nil)), size}, nil
}

// reader stops between two reads when its context is done.
type reader struct {
	ctx  context.Context
	file io.Reader
}

func (r *reader) Read(buffer []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.file.Read(buffer)
}
