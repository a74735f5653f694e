package dev

import (
	"context"
	"fmt"
	"os"
	"strings"
	"syscall"
)

// StartStandby copies p, which runs, to opts.Dir and runs the copy as a hot
// standby that p streams to. It returns once that can be read from; pg_promote()
// makes it a server of its own, which has p's password. p does not wait for it
// unless it is told to (synchronous_standby_names).
//
// opts.Dir must hold no server. The owner of the standby ends it with Stop or
// Kill, like p. ctx bounds the start only. Errors are those of StartPostgres, or
// what pg_basebackup says.
func (p *Postgres) StartStandby(ctx context.Context, opts PostgresOptions) (*Postgres, error) {
	f, err := openFolder(ctx, opts.Dir)
	if err != nil {
		return nil, err
	}
	if err := p.copyTo(ctx, f); err != nil {
		f.release()
		return nil, err
	}
	standby, err := startIn(ctx, f, opts)
	if err != nil {
		f.release()
		return nil, err
	}
	return standby, nil
}

// copyTo makes the data folder of a standby, and leaves nothing that looks whole
// when it fails half way, as initialize does.
func (p *Postgres) copyTo(ctx context.Context, f *folder) error {
	if f.version() != 0 {
		return fmt.Errorf("%s holds a server already", f.path)
	}
	bin, err := findBinaries(ctx, p.folder.version())
	if err != nil {
		return err
	}
	if err := f.keepPassword(p.secret); err != nil {
		return err
	}
	draft := f.data() + ".new"
	if err := os.RemoveAll(draft); err != nil {
		return fmt.Errorf("remove a half-made data folder: %w", err)
	}
	var out strings.Builder
	cmd := bin.command("pg_basebackup", f, syscall.SIGTERM,
		"-D", draft, "-d", p.urlWithoutPassword(), "--write-recovery-conf", "--wal-method=stream", "--checkpoint=fast", "--no-sync")
	cmd.Env = append(cmd.Env, "PGPASSWORD="+p.secret) // Arguments can be read by everybody.
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := runChild(ctx, cmd); err != nil {
		return fmt.Errorf("copy PostgreSQL to %s: %w\n%s", f.path, err, out.String())
	}
	if err := os.Rename(draft, f.data()); err != nil {
		return fmt.Errorf("put the data folder in place: %w", err)
	}
	return nil
}
