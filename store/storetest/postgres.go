package storetest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	superuser   = "clientele"
	maintenance = "postgres" // a database that every server has

	pollInterval  = 20 * time.Millisecond
	serverTimeout = time.Minute // for a server to start, to stop, to answer
	portAttempts  = 3           // another process may use the free port first
)

// shared is the server that the tests of this process share.
var shared struct {
	sync.Mutex
	main   bool // Main will stop it
	server *PostgresServer
}

// Main runs the tests, then stops the server of Postgres and removes its files:
//
//	func TestMain(m *testing.M) { os.Exit(storetest.Main(m)) }
func Main(m *testing.M) int {
	shared.main = true
	code := m.Run()
	if shared.server == nil {
		return code
	}
	// A fuzzing worker has a second to end before it is interrupted, and another before it is killed.
	signal.Ignore(os.Interrupt)
	if err := shared.server.remove(); err != nil {
		fmt.Fprintln(os.Stderr, "remove the PostgreSQL server:", err)
		code = max(code, 1)
	}
	return code
}

// Postgres returns the URL of a new, empty database, which is dropped after the test. It is on a PostgreSQL server that all
// tests of the process share. The first call starts the server; TestMain must call Main, which stops it.
func Postgres(t testing.TB) string {
	t.Helper()
	server, err := sharedServer()
	if err != nil {
		t.Fatal(err)
	}
	name, err := server.create()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.exec(`DROP DATABASE ` + name + ` WITH (FORCE)`); err != nil {
			t.Error(err)
		}
	})
	return server.url(name)
}

func sharedServer() (*PostgresServer, error) {
	shared.Lock()
	defer shared.Unlock()
	if !shared.main {
		return nil, errors.New("TestMain must call storetest.Main, which stops the PostgreSQL server")
	}
	if shared.server == nil {
		server, err := newServer("", Host{})
		if err != nil {
			return nil, err
		}
		shared.server = server
	}
	return shared.server, nil
}

// Host is where a server runs. The zero value is this machine, at 127.0.0.1.
type Host struct {
	// Address is the IP address of the host. Every program in its network may connect to the server, as in a test.
	Address string
	// Enter moves the calling thread to the network of the host, for a process that the thread then starts.
	Enter func() error
}

// PostgresServer is a PostgreSQL server on a port of its host, with fsync on as in production.
type PostgresServer struct {
	programs string // the directory with initdb and postgres
	dir      string
	host     Host
	owner    *syscall.Credential // nil for this process's user
	port     int
	database string
	names    atomic.Int64

	process *os.Process
	exited  chan struct{}
	halted  []int // the processes that Pause has halted
}

// StartPostgres starts a server for this test alone, which may stop and start it. It is removed after the test.
func StartPostgres(t testing.TB) *PostgresServer {
	t.Helper()
	return StartPostgresIn(t, "")
}

// StartPostgresIn is StartPostgres with the files of the server below a directory, which every user must be able to enter.
func StartPostgresIn(t testing.TB, parent string) *PostgresServer {
	t.Helper()
	return startPostgres(t, parent, Host{})
}

// StartPostgresOn is StartPostgres on another host.
func StartPostgresOn(t testing.TB, host Host) *PostgresServer {
	t.Helper()
	return startPostgres(t, "", host)
}

func startPostgres(t testing.TB, parent string, host Host) *PostgresServer {
	t.Helper()
	s, err := newServer(parent, host)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.remove(); err != nil {
			t.Error(err)
		}
	})
	if s.database, err = s.create(); err != nil {
		t.Fatal(err)
	}
	return s
}

// URL returns the URL of the server's database, which is empty at first.
func (s *PostgresServer) URL() string { return s.url(s.database) }

// UseTLS makes the server accept TLS connections with this certificate. Only the superuser may connect without TLS, and other
// roles need a password.
func (s *PostgresServer) UseTLS(t testing.TB, certificate, key []byte) {
	t.Helper()
	const hba = "host all " + superuser + " 127.0.0.1/32 trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n"
	for name, content := range map[string][]byte{"server.crt": certificate, "server.key": key, "pg_hba.conf": []byte(hba)} {
		path := filepath.Join(s.dir, "data", name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if s.owner != nil {
			if err := os.Chown(path, int(s.owner.Uid), int(s.owner.Gid)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := s.exec(`ALTER SYSTEM SET ssl = on`); err != nil {
		t.Fatal(err)
	}
	s.Stop(t, false)
	s.Start(t)
}

// Pid returns the process id of the server, or of its last process if it is stopped.
func (s *PostgresServer) Pid() int { return s.process.Pid }

// Stop stops the server and waits until it has ended. An immediate stop is like a crash; otherwise the server closes its
// connections and writes a checkpoint first.
func (s *PostgresServer) Stop(t testing.TB, immediate bool) {
	t.Helper()
	signal := syscall.SIGINT
	if immediate {
		signal = syscall.SIGQUIT
	}
	if err := s.stop(signal); err != nil {
		t.Fatal(err)
	}
}

// Start starts a stopped server on the same port and data, and returns when it answers.
func (s *PostgresServer) Start(t testing.TB) {
	t.Helper()
	if err := s.start(); err != nil {
		t.Fatal(err)
	}
}

// newServer initialises a data directory in parent, by default that for temporary files, and starts a server of the host on it.
func newServer(parent string, host Host) (*PostgresServer, error) {
	programs, err := findPrograms()
	if err != nil {
		return nil, err
	}
	owner, err := unprivileged()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(parent, "clientele-postgres-")
	if err != nil {
		return nil, err
	}
	host.Address = cmp.Or(host.Address, "127.0.0.1")
	s := &PostgresServer{programs: programs, dir: dir, host: host, owner: owner}
	if err := s.initialise(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return s, nil
}

func (s *PostgresServer) initialise() error {
	if err := s.chown(); err != nil {
		return err
	}
	initdb := s.command("initdb", "--username="+superuser, "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync")
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	if s.host.Enter != nil {
		if err := s.trustNetwork(); err != nil {
			return err
		}
	}
	return s.startOnFreePort()
}

// trustNetwork lets every program in the network of the host connect.
func (s *PostgresServer) trustNetwork() error {
	hba, err := os.OpenFile(filepath.Join(s.dir, "data", "pg_hba.conf"), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	_, err = hba.WriteString("host all all samenet trust\nhost replication all samenet trust\n")
	return errors.Join(err, hba.Close())
}

// chown makes the owner of the server's processes the owner of its directory.
func (s *PostgresServer) chown() error {
	if s.owner == nil {
		return nil
	}
	return os.Chown(s.dir, int(s.owner.Uid), int(s.owner.Gid))
}

// startOnFreePort starts the server on a free port.
func (s *PostgresServer) startOnFreePort() (err error) {
	for range portAttempts {
		if s.port, err = FreePort(); err != nil {
			return err
		}
		if err = s.start(); err == nil {
			return nil
		}
	}
	return err
}

// start runs the server and returns when it answers.
func (s *PostgresServer) start() error {
	log, err := os.Create(s.logFile())
	if err != nil {
		return err
	}
	defer log.Close()
	args := []string{"-p", strconv.Itoa(s.port), "-c", "listen_addresses=" + s.host.Address, "-c", "unix_socket_directories=", "-c", "max_connections=200"}
	if s.host.Enter != nil {
		args = append(args, "-c", "wal_keep_size=256MB") // for a standby that was cut off; elsewhere erased data must not be kept
	}
	cmd := s.command("postgres", args...)
	cmd.Stderr = log
	endWithParent(cmd.SysProcAttr)
	started := make(chan error)
	exited := make(chan struct{})
	go func() {
		defer close(exited)
		// The kernel stops the server when the thread that started it ends, so this thread lives as long as the server.
		// It stays locked, and so ends with this goroutine, because it may be in another network.
		runtime.LockOSThread()
		err := s.enter()
		if err == nil {
			err = cmd.Start()
		}
		started <- err
		if err == nil {
			_ = cmd.Wait() // the exit status does not matter
		}
	}()
	if err := <-started; err != nil {
		return err
	}
	s.process, s.exited = cmd.Process, exited
	if err := s.answers(); err != nil {
		text, _ := os.ReadFile(s.logFile())
		return fmt.Errorf("%w\n%s", errors.Join(err, s.stop(syscall.SIGQUIT)), text)
	}
	return nil
}

// enter moves this thread to the network of the server's host.
func (s *PostgresServer) enter() error {
	if s.host.Enter == nil {
		return nil
	}
	return s.host.Enter()
}

// answers returns nil as soon as the server accepts connections.
func (s *PostgresServer) answers() error {
	ctx, cancel := context.WithTimeout(context.Background(), serverTimeout)
	defer cancel()
	poll := time.NewTicker(pollInterval)
	defer poll.Stop()
	for {
		conn, err := pgx.Connect(ctx, s.url(maintenance))
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-poll.C:
		case <-s.exited:
			return errors.New("the PostgreSQL server ended")
		case <-ctx.Done():
			return err
		}
	}
}

// stop returns when the server has ended. A server that is not running is not an error.
func (s *PostgresServer) stop(signal os.Signal) error {
	if err := s.process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	deadline := time.NewTimer(serverTimeout)
	defer deadline.Stop()
	select {
	case <-s.exited:
		return nil
	case <-deadline.C:
		return fmt.Errorf("the PostgreSQL server, process %d, does not stop", s.Pid())
	}
}

// remove stops the server without a checkpoint and removes its files.
func (s *PostgresServer) remove() error {
	return errors.Join(s.stop(syscall.SIGQUIT), os.RemoveAll(s.dir))
}

// create creates a database and returns its name.
func (s *PostgresServer) create() (string, error) {
	name := fmt.Sprintf("test_%d", s.names.Add(1))
	return name, s.exec(`CREATE DATABASE ` + name)
}

func (s *PostgresServer) exec(statement string) error {
	return s.maintain(func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, statement)
		return err
	})
}

// maintain runs f with a superuser's connection.
func (s *PostgresServer) maintain(f func(ctx context.Context, conn *pgx.Conn) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), serverTimeout)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.url(maintenance))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	return f(ctx, conn)
}

func (s *PostgresServer) url(database string) string {
	return fmt.Sprintf("postgres://%s@%s/%s?sslmode=disable", superuser, s.address(), database)
}

// address returns HOST:PORT.
func (s *PostgresServer) address() string {
	return net.JoinHostPort(s.host.Address, strconv.Itoa(s.port))
}

func (s *PostgresServer) logFile() string { return filepath.Join(s.dir, "log") }

// command returns a command for one of PostgreSQL's programs, which runs as the owner of the data directory.
func (s *PostgresServer) command(program string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(s.programs, program), append([]string{"-D", filepath.Join(s.dir, "data")}, args...)...)
	cmd.Dir = s.dir // the owner may lack access to the current directory
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.owner}
	return cmd
}

// unprivileged returns the user that runs PostgreSQL, which refuses to run as root, or nil if this process is not root.
func unprivileged() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	account, err := user.Lookup("postgres")
	if err != nil {
		account, err = user.Lookup("nobody")
	}
	if err != nil {
		return nil, err
	}
	uid, err := strconv.ParseUint(account.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(account.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}

// findPrograms returns the directory with initdb and postgres, which is not on the PATH of most distributions.
func findPrograms() (string, error) {
	var dirs []string
	if initdb, err := exec.LookPath("initdb"); err == nil {
		if initdb, err = filepath.EvalSymlinks(initdb); err == nil {
			dirs = append(dirs, filepath.Dir(initdb))
		}
	}
	for _, pattern := range []string{
		"/usr/lib/postgresql/*/bin",          // Debian
		"/usr/pgsql-*/bin",                   // Red Hat
		"/opt/homebrew/opt/postgresql@*/bin", // Homebrew on ARM
		"/usr/local/opt/postgresql@*/bin",    // Homebrew on Intel
	} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			return "", err
		}
		slices.SortFunc(found, func(a, b string) int { return cmp.Compare(majorVersion(b), majorVersion(a)) })
		dirs = append(dirs, found...)
	}
	if bin, err := exec.Command("pg_config", "--bindir").Output(); err == nil {
		dirs = append(dirs, strings.TrimSpace(string(bin)))
	}
	for _, dir := range dirs {
		_, noInitdb := exec.LookPath(filepath.Join(dir, "initdb"))
		_, noPostgres := exec.LookPath(filepath.Join(dir, "postgres"))
		if noInitdb == nil && noPostgres == nil {
			return dir, nil
		}
	}
	return "", errors.New("PostgreSQL's initdb and postgres are not installed: run make setup")
}

// majorVersion returns the number in the name of the directory above bin: 9 for postgresql@9.6, 15 for /usr/lib/postgresql/15.
func majorVersion(bin string) int {
	name := filepath.Base(filepath.Dir(bin))
	name = name[strings.LastIndexAny(name, "@-")+1:]
	major, _, _ := strings.Cut(name, ".")
	version, _ := strconv.Atoi(major) // 0, which sorts last, if it is not a number
	return version
}
