package dev

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	// orphanPatience is how long a server whose parent died may take to end.
	orphanPatience = 15 * time.Second
	orphanPoll     = 20 * time.Millisecond
	// maxLog is the size at which the server's log is begun anew at a start.
	maxLog = 10 << 20
)

// ErrInUse says that another process runs a server on the folder.
var ErrInUse = errors.New("the folder is in use")

// folder is the place of one private server. While it is held, nobody else
// starts a server there: the lock is a flock(2) that the server's processes
// inherit, so that it ends with the last of them and with nothing else.
//
//	lock          locked while in use; holds the pid of the user, or nothing
//	password      of the superuser, made at the first start
//	postgres.log  what the server says
//	data          PostgreSQL's own
type folder struct {
	path     string
	lock     *os.File
	owner    *account // nil: PostgreSQL runs as we do
	once     sync.Once
	released chan struct{}
}

// account is who PostgreSQL runs as when we are root, which it refuses.
type account struct {
	name     string
	uid, gid uint32
}

// openFolder creates the folder if need be and locks it.
func openFolder(ctx context.Context, path string) (*folder, error) {
	if path == "" {
		return nil, errors.New("no folder given for PostgreSQL")
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("name the folder for PostgreSQL: %w", err)
	}
	f := &folder{path: path, released: make(chan struct{})}
	if err := f.create(); err != nil {
		return nil, err
	}
	if err := f.acquire(ctx); err != nil {
		return nil, err
	}
	return f, nil
}

func (f *folder) data() string         { return filepath.Join(f.path, "data") }
func (f *folder) passwordFile() string { return filepath.Join(f.path, "password") }
func (f *folder) logFile() string      { return filepath.Join(f.path, "postgres.log") }
func (f *folder) lockFile() string     { return filepath.Join(f.path, "lock") }

// create makes the folder and, as root, hands it to PostgreSQL's account.
func (f *folder) create() error {
	if err := os.MkdirAll(f.path, 0o755); err != nil {
		return fmt.Errorf("create the folder for PostgreSQL: %w", err)
	}
	if os.Geteuid() != 0 {
		return nil
	}
	var err error
	if f.owner, err = serverAccount(); err != nil {
		return err
	}
	if err := f.owner.reaches(f.path); err != nil {
		return err
	}
	if err := os.Chown(f.path, int(f.owner.uid), int(f.owner.gid)); err != nil {
		return fmt.Errorf("hand the folder to %s: %w", f.owner.name, err)
	}
	return nil
}

// serverAccount is the account that PostgreSQL runs as when we are root.
func serverAccount() (*account, error) {
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.ParseUint(u.Uid, 10, 32)
		gid, gidErr := strconv.ParseUint(u.Gid, 10, 32)
		if uidErr == nil && gidErr == nil && uid > 0 {
			return &account{name: name, uid: uint32(uid), gid: uint32(gid)}, nil
		}
	}
	return nil, errors.New("PostgreSQL refuses to run as root, and there is neither an account postgres nor nobody to run it as")
}

// reaches says which folder above path keeps the account out, such as a home
// that only root may enter.
func (a *account) reaches(path string) error {
	for dir := filepath.Dir(path); ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err != nil {
			return fmt.Errorf("look at a folder above PostgreSQL's: %w", err)
		}
		st, ok := info.Sys().(*syscall.Stat_t)
		if ok && !a.enters(info.Mode().Perm(), st.Uid, st.Gid) {
			return fmt.Errorf("as root, PostgreSQL runs as %s, who cannot enter %s (mode %v): "+
				"choose a data folder elsewhere, such as /var/lib/cls-backend", a.name, dir, info.Mode().Perm())
		}
		if dir == filepath.Dir(dir) {
			return nil
		}
	}
}

// enters applies the search permission of a folder as path_resolution(7) does:
// the first class that fits decides.
func (a *account) enters(mode os.FileMode, uid, gid uint32) bool {
	switch {
	case uid == a.uid:
		return mode&0o100 != 0
	case gid == a.gid:
		return mode&0o010 != 0
	default:
		return mode&0o001 != 0
	}
}

// acquire takes the lock. A user that lives is reported at once; a server whose
// user died is ending, or is ended here, and waited for.
func (f *folder) acquire(ctx context.Context) error {
	lock, err := os.OpenFile(f.lockFile(), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("open the lock of PostgreSQL's folder: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, orphanPatience)
	defer cancel()
	for {
		err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			f.lock = lock
			return f.sign()
		}
		if err := f.awaitOrphan(ctx, err); err != nil {
			_ = lock.Close()
			return err
		}
	}
}

// awaitOrphan waits a moment for a server without a user to end.
func (f *folder) awaitOrphan(ctx context.Context, lockErr error) error {
	if !errors.Is(lockErr, syscall.EWOULDBLOCK) {
		return fmt.Errorf("lock PostgreSQL's folder: %w", lockErr)
	}
	if pid := f.user(); pid != 0 && alive(pid) {
		return fmt.Errorf("%w: %s is used by process %d", ErrInUse, f.path, pid)
	}
	if pid, _ := f.serverPID(); pid > 1 {
		_ = syscall.Kill(pid, syscall.SIGINT)
	}
	select {
	case <-time.After(orphanPoll):
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: a server without a parent holds %s and does not end", ErrInUse, f.path)
	}
}

// sign leaves our pid in the lock for others to name.
func (f *folder) sign() error {
	if err := f.lock.Truncate(0); err != nil {
		return fmt.Errorf("sign the lock of PostgreSQL's folder: %w", err)
	}
	if _, err := f.lock.WriteAt([]byte(strconv.Itoa(os.Getpid())), 0); err != nil {
		return fmt.Errorf("sign the lock of PostgreSQL's folder: %w", err)
	}
	return nil
}

// user is the pid that the lock names, 0 for none.
func (f *folder) user() int {
	text, err := os.ReadFile(f.lockFile())
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(string(text))
	if err != nil {
		return 0
	}
	return pid
}

// release gives the folder up; more than once is harmless.
func (f *folder) release() {
	f.once.Do(func() {
		_ = f.lock.Truncate(0)
		_ = f.lock.Close()
		close(f.released)
	})
}

// alive says whether a process exists; one that we may not signal does.
func alive(pid int) bool {
	err := syscall.Kill(pid, 0)
	return err == nil || errors.Is(err, syscall.EPERM)
}

// version is the major version that the data was made by, 0 before there is any.
func (f *folder) version() int {
	text, err := os.ReadFile(filepath.Join(f.data(), "PG_VERSION"))
	if err != nil {
		return 0
	}
	major, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0
	}
	return major
}

// password returns the superuser's password, and makes one for data to come.
func (f *folder) password() (string, error) {
	if f.version() != 0 {
		text, err := os.ReadFile(f.passwordFile())
		if err != nil {
			return "", fmt.Errorf("read PostgreSQL's password: %w", err)
		}
		return string(text), nil
	}
	secret := rand.Text()
	if err := f.keepPassword(secret); err != nil {
		return "", err
	}
	return secret, nil
}

// keepPassword writes the password where PostgreSQL's account can read it, and
// no other can.
func (f *folder) keepPassword(secret string) error {
	if err := os.WriteFile(f.passwordFile(), []byte(secret), 0o600); err != nil {
		return fmt.Errorf("keep PostgreSQL's password: %w", err)
	}
	if f.owner != nil {
		if err := os.Chown(f.passwordFile(), int(f.owner.uid), int(f.owner.gid)); err != nil {
			return fmt.Errorf("hand PostgreSQL's password to %s: %w", f.owner.name, err)
		}
	}
	return nil
}

// serverPID reads what the server says of itself in postmaster.pid: its pid on
// the first line and its state on the eighth ("ready" once it accepts
// connections), as pg_ctl does. 0 and "" when there is no such file.
func (f *folder) serverPID() (pid int, state string) {
	text, err := os.ReadFile(filepath.Join(f.data(), "postmaster.pid"))
	if err != nil {
		return 0, ""
	}
	const pidLine, stateLine = 0, 7
	lines := strings.Split(string(text), "\n")
	pid, err = strconv.Atoi(strings.TrimSpace(lines[pidLine]))
	if err != nil {
		return 0, ""
	}
	if len(lines) > stateLine {
		state = strings.TrimSpace(lines[stateLine])
	}
	return pid, state
}

// clearStalePID removes the postmaster.pid of a server that was killed.
// PostgreSQL itself takes any process of that number for a living server, and
// numbers come again, in containers at once. A server that somebody started on
// the data by hand, without our lock, is left alone.
func (f *folder) clearStalePID() error {
	pid, _ := f.serverPID()
	if pid == 0 {
		return nil
	}
	if f.servedBy(pid) {
		return fmt.Errorf("%w: a server that was started by hand (process %d) runs on %s", ErrInUse, pid, f.data())
	}
	if err := os.Remove(filepath.Join(f.data(), "postmaster.pid")); err != nil {
		return fmt.Errorf("remove the trace of a dead server: %w", err)
	}
	return nil
}

// openLog opens the server's log at its end and returns where that is.
func (f *folder) openLog() (log *os.File, from int64, err error) {
	log, err = os.OpenFile(f.logFile(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, 0, fmt.Errorf("open PostgreSQL's log: %w", err)
	}
	info, err := log.Stat()
	if err == nil && info.Size() <= maxLog {
		return log, info.Size(), nil
	}
	if err := errors.Join(err, log.Truncate(0)); err != nil {
		_ = log.Close()
		return nil, 0, fmt.Errorf("begin PostgreSQL's log anew: %w", err)
	}
	return log, 0, nil
}

// logSince is what the server has said since a start, for an error to carry.
func (f *folder) logSince(from int64) string {
	log, err := os.Open(f.logFile())
	if err != nil {
		return ""
	}
	defer log.Close()
	const enough = 4 << 10
	text, err := io.ReadAll(io.NewSectionReader(log, from, enough))
	if err != nil || len(bytes.TrimSpace(text)) == 0 {
		return ""
	}
	return "; its log says:\n" + string(bytes.TrimSpace(text))
}

// RemovePostgres deletes the folder of a private server and all data in it. It
// is ErrInUse while a server runs there, and no error when there is none.
func RemovePostgres(ctx context.Context, dir string) error {
	if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	f, err := openFolder(ctx, dir)
	if err != nil {
		return err
	}
	defer f.release()
	if err := os.RemoveAll(f.path); err != nil {
		return fmt.Errorf("remove PostgreSQL's folder: %w", err)
	}
	return nil
}
