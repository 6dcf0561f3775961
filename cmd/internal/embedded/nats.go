// Package embedded runs a NATS server inside this process, with JetStream on disk.
package embedded

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"clientele/cmd/internal/datadir"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"
)

// startTimeout bounds the recovery of the streams at the start.
const startTimeout = time.Minute

// NATSConfig configures StartNATS.
type NATSConfig struct {
	// Dir keeps the streams. It must not be empty, and no other server may use it.
	Dir string
	// Listen is the address for other programs, as host:port. With port 0 the server picks a free one.
	Listen string
	// ConfigFile is a configuration of nats-server with the accounts, the users and the TLS settings for other programs, or empty. Any
	// other setting is an error. If it has accounts, the streams are in Account.
	ConfigFile string
	// EncryptionKey encrypts the streams on disk. If it is empty, they are not encrypted.
	EncryptionKey string
	Log           zerolog.Logger
}

// NATS is a running server.
type NATS struct {
	*server.Server

	account string      // of the streams
	dir     string      // of the streams
	info    os.FileInfo // of dir, when the server opened it
	staging string      // directory in memory, or empty
	own     *server.User
}

// StartNATS returns when the server accepts connections and has recovered its streams. The server syncs every write before it
// acknowledges it. An error is a *ListenError if it is about cfg.Listen, and a *ConfigError if it is about cfg.ConfigFile.
func StartNATS(cfg NATSConfig) (*NATS, error) {
	if cfg.Dir == "" {
		return nil, errors.New("embedded NATS: Dir must not be empty")
	}
	host, port, err := listenable(cfg.Listen)
	if err != nil {
		return nil, &ListenError{err}
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("embedded NATS: %w", err)
	}
	_, size, err := datadir.Disk(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("embedded NATS: %w", err)
	}
	if err := errors.Join(removeLeftovers(cfg.Dir), removeUntrustedIndexes(cfg.Dir)); err != nil {
		return nil, fmt.Errorf("embedded NATS: %w", err)
	}
	opts, err := cfg.access(host)
	if err != nil {
		return nil, err
	}
	opts.ServerName = "clientele"
	opts.Host = host
	opts.Port = port
	opts.NoSigs = true
	opts.JetStream = true
	opts.StoreDir = cfg.Dir
	opts.SyncAlways = true
	// The default is three quarters of the free space at the start. It shrinks with each start, until the server refuses its own
	// streams.
	opts.JetStreamMaxStore = size
	opts.JetStreamKey = cfg.EncryptionKey
	opts.JetStreamCipher = server.ChaCha
	account, err := accountOf(opts)
	if err != nil {
		return nil, &ConfigError{cfg.ConfigFile, err}
	}
	plaintext := slices.ContainsFunc(opts.Users, func(u *server.User) bool { return u.Password != "" && !strings.HasPrefix(u.Password, bcryptPrefix) })
	// A server without users would accept every program of this machine.
	own := &server.User{Username: "clientele", Password: rand.Text(), Account: account}
	opts.Users = append(opts.Users, own)
	if port == 0 {
		opts.Port = server.RANDOM_PORT
	}
	s, err := server.NewServer(opts)
	if err != nil {
		return nil, fmt.Errorf("embedded NATS: %w", err)
	}
	s.SetLoggerV2(natsLog{cfg.Log, plaintext}, false, false, false)
	s.Start()
	if !s.ReadyForConnections(startTimeout) {
		s.Shutdown()
		return nil, fmt.Errorf("embedded NATS is not ready after %s; see its log lines", startTimeout)
	}
	dir := filepath.Join(cfg.Dir, server.JetStreamStoreDir)
	info, err := os.Stat(dir)
	if err != nil {
		s.Shutdown()
		return nil, fmt.Errorf("embedded NATS: %w", err)
	}
	n := &NATS{Server: s, account: server.DEFAULT_GLOBAL_ACCOUNT, dir: dir, info: info, own: own}
	if account != nil {
		n.account = Account
	}
	if account, err := s.LookupAccount(n.account); err != nil || !account.JetStreamEnabled() {
		n.Stop()
		return nil, fmt.Errorf("%s: the account %s has no JetStream: set jetstream: enabled", cfg.ConfigFile, n.account)
	}
	if err := n.Health(); err != nil { // a stream that cannot be recovered must not count as missing
		n.Stop()
		return nil, err
	}
	return n, nil
}

// Option returns the option for a connection to this server from within the process, with all permissions.
func (n *NATS) Option() nats.Option {
	return func(o *nats.Options) error {
		o.InProcessServer, o.User, o.Password = n.Server, n.own.Username, n.own.Password
		o.Servers = []string{strings.Replace(n.ClientURL(), "tls://", "nats://", 1)} // within a process there is no TLS
		return nil
	}
}

// LocalURL returns the URL for programs of this machine that may do everything, with a user and a password that end with the server.
func (n *NATS) LocalURL() string {
	scheme, address, _ := strings.Cut(n.ClientURL(), "://")
	u := url.URL{Scheme: scheme, User: url.UserPassword(n.own.Username, n.own.Password), Host: address}
	return u.String()
}

// Account is the account of the streams in a configuration with accounts, as in deploy/nats/accounts.conf.
const Account = "CLIENTELE"

// accountOf returns the account of the streams. It is nil, the server's default, in a configuration without accounts.
func accountOf(opts *server.Options) (*server.Account, error) {
	if len(opts.Accounts) == 0 {
		return nil, nil //nolint:nilnil // as documented
	}
	i := slices.IndexFunc(opts.Accounts, func(a *server.Account) bool { return a.GetName() == Account })
	if i < 0 {
		return nil, fmt.Errorf("it has accounts, but none with the name %s, see deploy/nats/accounts.conf", Account)
	}
	return opts.Accounts[i], nil
}

// access returns the accounts, the users and the TLS settings. An address that is not on loopback requires users.
func (cfg NATSConfig) access(host string) (*server.Options, error) {
	opts := &server.Options{}
	if cfg.ConfigFile != "" {
		var err error
		if opts, err = readConfig(cfg.ConfigFile); err != nil {
			return nil, err
		}
	}
	ip, err := netip.ParseAddr(host)
	open := host != "localhost" && (err != nil || !ip.IsLoopback())
	if open && len(opts.Users) == 0 && len(opts.Nkeys) == 0 {
		return nil, ErrNoUsers
	}
	return opts, nil
}

// Health returns nil if the server can store messages. A lasting error requires an operator to check the disk and restart,
// because the server refuses all writes to a stream after one has failed. While a stream is created or deleted, the error may
// be temporary.
func (n *NATS) Health() error {
	info, err := os.Stat(n.dir)
	if err != nil {
		return fmt.Errorf("the streams are missing: restore them and restart: %w", err)
	}
	if !os.SameFile(info, n.info) {
		return fmt.Errorf("%s was replaced while in use: restore the original directory and restart", n.dir)
	}
	if status := n.Healthz(nil); status.Error != "" {
		return fmt.Errorf("the embedded NATS has failed: check the disk of %s and restart: %s", n.dir, status.Error)
	}
	return nil
}

// ErrNoUsers means that NATSConfig.Listen is not on loopback and the configuration has no users.
var ErrNoUsers = errors.New("without users, every program that can connect could read and write everything: define users in a " +
	"configuration, see deploy/nats/accounts.conf")

// ListenError means that the server cannot listen on NATSConfig.Listen.
type ListenError struct{ Err error }

func (e *ListenError) Error() string { return e.Err.Error() }
func (e *ListenError) Unwrap() error { return e.Err }

// listenable returns the host and the port of an address after a test that it can be listened on. The server itself reports a
// port in use only in its log.
func listenable(address string) (host string, port int, err error) {
	host, portText, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, err
	}
	number, err := strconv.ParseUint(portText, 10, 16)
	if err != nil {
		return "", 0, fmt.Errorf("port %q is not a number from 0 to 65535", portText)
	}
	probe, err := net.Listen("tcp", address)
	if err != nil {
		return "", 0, err
	}
	return host, int(number), probe.Close()
}

// Stop stops the server and returns when its files are closed. Close the connections first.
func (n *NATS) Stop() {
	n.Shutdown()
	n.WaitForShutdown()
	n.SetLoggerV2(nil, false, false, false) // some goroutines still log, but the program's last line must be why it ends
	if n.staging != "" {
		_ = os.RemoveAll(n.staging) // on an error, the next start removes it
	}
}

// natsLog writes the server's log to ours. It logs notices at level debug and debug messages at level trace.
type natsLog struct {
	log       zerolog.Logger
	plaintext bool // a password in the configuration file is not hashed
}

// plaintextWarning is what the server says about passwords that are not hashed. Without one in the configuration file, it is about the
// credential of this process, which is in no file and which nobody can change.
const plaintextWarning = "Plaintext passwords detected, use nkeys or bcrypt"

// bcryptPrefix begins a password that is hashed.
const bcryptPrefix = "$2"

func (l natsLog) Noticef(format string, v ...any) { l.log.Debug().Msgf(format, v...) }
func (l natsLog) Fatalf(format string, v ...any)  { l.log.Error().Msgf(format, v...) }
func (l natsLog) Errorf(format string, v ...any)  { l.log.Error().Msgf(format, v...) }
func (l natsLog) Debugf(format string, v ...any)  { l.log.Trace().Msgf(format, v...) }

func (l natsLog) Warnf(format string, v ...any) {
	if format != plaintextWarning || l.plaintext {
		l.log.Warn().Msgf(format, v...)
	}
}

func (l natsLog) Tracef(string, ...any) {}
