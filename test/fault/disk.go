package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/cls-backend/cls-backend/internal/dev"
)

// disks are what happens to PostgreSQL's disk.
func disks() []scenario {
	return []scenario{
		{
			name: "disk/full", promise: "On a full disk writes are refused and all can be read; when there is space again, all goes on by itself.",
			about: "The disk with the tables and indexes of the service is full (a small tmpfs, and a file that takes all the space left), " +
				"and later it is not. The WAL is on another.",
			full: dose{times: 3, lasts: 30 * time.Second}, short: dose{times: 1, lasts: 3 * time.Second},
			unit: "times full", run: diskFull, postgres: itsOwn(), mounts: true,
		},
		{
			name: "disk/wal-full", promise: "When PostgreSQL has died of a full disk and is back, all goes on by itself, and nothing is lost.",
			about: "The disk with the WAL is full, of which PostgreSQL panics; it cannot start either as long as that is so. When there is space " +
				"again PostgreSQL is started, and nothing else.",
			full: dose{times: 3, lasts: 20 * time.Second}, short: dose{times: 1, lasts: time.Second},
			unit: "times full", run: walFull, postgres: itsOwn(), mounts: true,
		},
	}
}

// diskMiB is the size of the small disk.
const diskMiB = 128

func diskFull(ctx context.Context, w *world, d dose) ([]figure, error) {
	disk, own, err := w.mount(ctx)
	if err != nil {
		return nil, err
	}
	if err := w.moveTables(ctx, own); err != nil {
		return nil, err
	}
	began := time.Now()
	l := w.startLoad(ctx, 8, 60)
	var (
		seen watched
		back time.Duration
	)
	pids := w.pids()
	filler := filepath.Join(disk, "filler")
	for range d.times {
		if err := pause(ctx, time.Second); err != nil {
			return nil, err
		}
		if err := fill(filler); err != nil {
			return nil, err
		}
		// What is on pages that there are is free to be written on; each new page is refused.
		if err := w.watch(ctx, l, d.lasts, &seen); err != nil {
			return nil, err
		}
		if err := os.Remove(filler); err != nil {
			return nil, err
		}
		took, err := w.writesAgain(ctx)
		if err != nil {
			return nil, err
		}
		back = max(back, took)
	}
	figures := append([]figure{measured("size of the disk, a tmpfs", diskMiB, "MiB")}, seen.figures()...)
	figures = append(figures, measured("writes that found a page with space", float64(seen.accepted), ""),
		atMost("longest until a write was accepted again", back.Seconds(), "s", backLimit),
		atMost("replicas that were restarted", float64(w.others(pids)), "", 0))
	return w.over(ctx, l, "a full disk", began, figures...)
}

func walFull(ctx context.Context, w *world, d dose) ([]figure, error) {
	disk, own, err := w.mount(ctx)
	if err != nil {
		return nil, err
	}
	if err := w.moveWAL(ctx, own); err != nil {
		return nil, err
	}
	began := time.Now()
	l := w.startLoad(ctx, 8, 60)
	pids := w.pids()
	filler := filepath.Join(disk, "filler")
	var back time.Duration
	for range d.times {
		if err := pause(ctx, time.Second); err != nil {
			return nil, err
		}
		if err := fill(filler); err != nil {
			return nil, err
		}
		if err := w.awaitPanic(ctx); err != nil {
			return nil, err
		}
		if err := pause(ctx, d.lasts); err != nil {
			return nil, err
		}
		if err := os.Remove(filler); err != nil {
			return nil, err
		}
		if err := w.startAgain(ctx); err != nil {
			return nil, err
		}
		took, err := w.allReady(ctx)
		if err != nil {
			return nil, err
		}
		back = max(back, took)
	}
	return w.over(ctx, l, "a full disk of the WAL", began,
		measured("size of the disk, a tmpfs", diskMiB, "MiB"), measured("times that PostgreSQL has died of it", float64(d.times), ""),
		atMost("longest until all replicas were ready when PostgreSQL was", back.Seconds(), "s", backLimit),
		atMost("replicas that were restarted", float64(w.others(pids)), "", 0))
}

// moveWAL moves the WAL to a folder of the small disk.
func (w *world) moveWAL(ctx context.Context, to string) error {
	if err := w.postgres.Stop(ctx); err != nil {
		return err
	}
	wal := filepath.Join(w.postgres.Options().Dir, "data", "pg_wal")
	out, err := exec.CommandContext(ctx, "cp", "-a", wal+"/.", to).CombinedOutput()
	if err != nil {
		return fmt.Errorf("move the WAL: %w\n%s", err, out)
	}
	if err := errors.Join(os.RemoveAll(wal), os.Symlink(to, wal)); err != nil {
		return fmt.Errorf("move the WAL: %w", err)
	}
	if err := w.startAgain(ctx); err != nil {
		return err
	}
	_, err = w.allReady(ctx)
	return err
}

// startAgain starts PostgreSQL, which has died, where it was.
func (w *world) startAgain(ctx context.Context) error {
	w.record.crash()
	again, err := dev.StartPostgres(ctx, w.postgres.Options())
	if err != nil {
		return err
	}
	w.postgres = again
	w.db.Reset()
	return nil
}

// awaitPanic has PostgreSQL begin one file of the WAL after the other until there is no space for another, and it ends.
func (w *world) awaitPanic(ctx context.Context) error {
	return until(ctx, "PostgreSQL to die of a full disk", patience, func() bool {
		select {
		case <-w.postgres.Done():
			return true
		default:
			_, _ = w.db.Exec(ctx, "SELECT pg_switch_wal()") // It is of this that PostgreSQL dies.
			return false
		}
	})
}

// others is how many replicas have another process than they had.
func (w *world) others(pids []int) (n int) {
	for i, pid := range w.pids() {
		if pids[i] != pid {
			n++
		}
	}
	return n
}

// pids are the processes of the replicas.
func (w *world) pids() []int {
	var list []int
	for _, r := range w.replicas {
		list = append(list, r.process().cmd.Process.Pid)
	}
	return list
}

// mount makes the small disk, with a folder that is PostgreSQL's own. It goes with the world.
func (w *world) mount(ctx context.Context) (disk, own string, err error) {
	disk = filepath.Join(w.rig.dir, "disk-"+w.database)
	if err := os.Mkdir(disk, 0o755); err != nil {
		return "", "", err
	}
	if err := mountTmpfs(ctx, disk); err != nil {
		return "", "", err
	}
	w.end = slices.Insert(w.end, 0, func() error { return asRoot(context.WithoutCancel(ctx), "umount", disk) }) // After PostgreSQL.
	own = filepath.Join(disk, "postgres")
	data, err := os.Stat(filepath.Join(w.postgres.Options().Dir, "data"))
	if err != nil {
		return "", "", err
	}
	of, ok := data.Sys().(*syscall.Stat_t)
	if !ok {
		return "", "", errors.New("nobody knows whose PostgreSQL's data are")
	}
	return disk, own, errors.Join(os.Mkdir(own, 0o700), os.Chown(own, int(of.Uid), int(of.Gid)))
}

// mountable says why no small disk can be made, if so: that takes Linux, and root or sudo without a password.
func mountable(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "cls-fault-disk-")
	if err != nil {
		return err
	}
	defer os.Remove(dir)
	if err := mountTmpfs(ctx, dir); err != nil {
		return err
	}
	return asRoot(ctx, "umount", dir)
}

func mountTmpfs(ctx context.Context, dir string) error {
	return asRoot(ctx, "mount", "-t", "tmpfs", "-o", "size="+strconv.Itoa(diskMiB)+"m,mode=0777", "tmpfs", dir)
}

func asRoot(ctx context.Context, command ...string) error {
	if os.Geteuid() != 0 {
		command = append([]string{"sudo", "-n"}, command...)
	}
	if out, err := exec.CommandContext(ctx, command[0], command[1:]...).CombinedOutput(); err != nil {
		return fmt.Errorf("%v: %w\n%s", command, err, out)
	}
	return nil
}

// moveTables moves the tables and indexes of the service to the small disk.
func (w *world) moveTables(ctx context.Context, to string) error {
	if _, err := w.db.Exec(ctx, "CREATE TABLESPACE small LOCATION '"+to+"'"); err != nil {
		return fmt.Errorf("use the small disk: %w", err)
	}
	for _, what := range []string{"TABLE", "INDEX"} {
		var last error
		err := until(ctx, "the tables to be moved", patience, func() bool {
			_, last = w.db.Exec(ctx, "ALTER "+what+" ALL IN TABLESPACE pg_default SET TABLESPACE small")
			const deadlock = "40P01" // with the passes of the service, which go on
			pg, ok := errors.AsType[*pgconn.PgError](last)
			return !ok || pg.Code != deadlock
		})
		if err := errors.Join(err, last); err != nil {
			return fmt.Errorf("move %sS to the small disk: %w", what, err)
		}
	}
	return nil
}

// fill writes a file until there is no space left.
func fill(path string) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer file.Close()
	if _, err = io.Copy(file, zeros{}); !errors.Is(err, syscall.ENOSPC) {
		return fmt.Errorf("fill the disk: %w", err)
	}
	return nil
}

// zeros is an endless file of zeros.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}
