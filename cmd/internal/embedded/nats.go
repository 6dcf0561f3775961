// Package embedded runs a NATS server inside this process, with JetStream on disk.
package embedded

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"
)

// startTimeout is how long the server may take to recover its streams.
const startTimeout = time.Minute

// NATSConfig configures StartNATS.
type NATSConfig struct {
	// Dir keeps the streams. It must not be empty, and no other server may use it.
	Dir string
	// Listen is the address for other programs, as host:port. With port 0 the server picks a free one.
	Listen string
	// ConfigFile is a configuration of nats-server, or empty. The users and the TLS of other programs are taken from it.
	ConfigFile string
	// EncryptionKey encrypts the streams, or is empty.
	EncryptionKey string
	Log           zerolog.Logger
}

// NATS is a running server.
type NATS struct {
	*server.Server

	dir     string      // of the streams
	info    os.FileInfo // of dir, when the server had opened it
	staging string      // in memory, or empty
	own     nats.Options
}

// StartNATS returns a server that answers; its streams are recovered. Every write is synced before it is acknowledged.
func StartNATS(cfg NATSConfig) (*NATS, error) {
	if cfg.Dir == "" {
		return nil, errors.New("embedded NATS: the directory is empty")
	}
	host, port, err := listenable(cfg.Listen)
	if err != nil {
		return nil, &ListenError{err}
	}
	size, err := diskSize(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("embedded NATS: %w", err)
	}
	if err := distrustZeros(cfg.Dir); err != nil {
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
	// Else three quarters of what is free at the start: less at each start, until the log that was there is refused.
	opts.JetStreamMaxStore = size
	opts.JetStreamKey = cfg.EncryptionKey
	opts.JetStreamCipher = server.ChaCha
	own := nats.Options{}
	if len(opts.Users) > 0 || len(opts.Nkeys) > 0 {
		user := &server.User{Username: "clientele", Password: rand.Text()}
		opts.Users = append(opts.Users, user)
		own.User, own.Password = user.Username, user.Password
	}
	if port == 0 {
		opts.Port = server.RANDOM_PORT
	}
	s, err := server.NewServer(opts)
	if err != nil {
		return nil, fmt.Errorf("embedded NATS: %w", err)
	}
	s.SetLoggerV2(natsLog{cfg.Log}, false, false, false)
	s.Start()
	if !s.ReadyForConnections(startTimeout) {
		s.Shutdown()
		return nil, fmt.Errorf("embedded NATS is not ready after %s, see the log above", startTimeout)
	}
	dir := filepath.Join(cfg.Dir, server.JetStreamStoreDir)
	info, err := os.Stat(dir)
	if err != nil {
		s.Shutdown()
		return nil, fmt.Errorf("embedded NATS: %w", err)
	}
	n := &NATS{Server: s, dir: dir, info: info, own: own}
	if err := n.Health(); err != nil { // a stream that cannot be recovered is not a stream that is missing
		n.Stop()
		return nil, err
	}
	return n, nil
}

// Option has a connection go to this server from within the process, with all rights.
func (n *NATS) Option() nats.Option {
	return func(o *nats.Options) error {
		o.InProcessServer, o.User, o.Password = n.Server, n.own.User, n.own.Password
		return nil
	}
}

// access returns the options that say who may reach the server.
func (cfg NATSConfig) access(host string) (*server.Options, error) {
	opts := &server.Options{}
	if cfg.ConfigFile != "" {
		file, err := server.ProcessConfigFile(cfg.ConfigFile)
		if err != nil {
			return nil, err
		}
		if len(file.Accounts) > 0 || file.Username != "" || file.Authorization != "" {
			return nil, fmt.Errorf("%s: give each program a user, under authorization { users = [ … ] }", cfg.ConfigFile)
		}
		opts.Users, opts.Nkeys = file.Users, file.Nkeys
		opts.TLS, opts.TLSConfig, opts.TLSVerify, opts.TLSTimeout = file.TLS, file.TLSConfig, file.TLSVerify, file.TLSTimeout
	}
	ip, err := netip.ParseAddr(host)
	open := host != "localhost" && (err != nil || !ip.IsLoopback())
	if open && len(opts.Users) == 0 && len(opts.Nkeys) == 0 {
		return nil, &ListenError{errors.New("whoever reaches it could read and write everything: name its users in a configuration, " +
			"see deploy/nats/users.conf")}
	}
	return opts, nil
}

// Health returns nil while the server can keep what it is given. An error that stays takes a person to see to the disk, and
// a new start, as the server refuses to write to a stream once a write to it has failed. While a stream is being made or
// deleted there may be an error that goes away.
func (n *NATS) Health() error {
	info, err := os.Stat(n.dir)
	if err != nil {
		return fmt.Errorf("the streams are gone, bring them back and start again: %w", err)
	}
	if !os.SameFile(info, n.info) {
		return fmt.Errorf("%s was replaced while in use: bring back the one that was there, and start again", n.dir)
	}
	if status := n.Healthz(nil); status.Error != "" {
		return fmt.Errorf("the embedded NATS cannot go on, see to the disk of %s and start again: %s", n.dir, status.Error)
	}
	return nil
}

// ListenError is about NATSConfig.Listen.
type ListenError struct{ Err error }

func (e *ListenError) Error() string { return e.Err.Error() }
func (e *ListenError) Unwrap() error { return e.Err }

// listenable returns the host and the port of an address that can be listened on. The server itself reports a port that is
// taken only to its log.
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

// minFree is the space that a start wants on the disk. With less the first write would fail, and end the server again.
const minFree = 1 << 20

// diskSize returns the bytes of the disk that the directory is on, and makes the directory if it is not there. A disk
// without space is an error.
func diskSize(dir string) (int64, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return 0, err
	}
	var stat syscall.Statfs_t
	if err := syscall.Statfs(dir, &stat); err != nil {
		return 0, fmt.Errorf("size of the disk: %w", err)
	}
	block := int64(stat.Bsize) //nolint:unconvert // uint32 on macOS
	if int64(stat.Bavail)*block < minFree {
		return 0, fmt.Errorf("the disk that %s is on is full: make room, then start again", dir)
	}
	return int64(stat.Blocks) * block, nil
}

// Stop ends the server and returns when its files are closed. Connections must be closed before.
func (n *NATS) Stop() {
	n.Shutdown()
	n.WaitForShutdown()
	n.SetLoggerV2(nil, false, false, false) // some of it goes on for a moment, and the last line is the program's to say why it ends
	if n.staging != "" {
		_ = os.RemoveAll(n.staging) // the next start does it too
	}
}

// natsLog writes the server's log into ours. What it notices in its daily work is of interest only when looking closely.
type natsLog struct{ log zerolog.Logger }

func (l natsLog) Noticef(format string, v ...any) { l.log.Debug().Msgf(format, v...) }
func (l natsLog) Warnf(format string, v ...any)   { l.log.Warn().Msgf(format, v...) }
func (l natsLog) Fatalf(format string, v ...any)  { l.log.Error().Msgf(format, v...) }
func (l natsLog) Errorf(format string, v ...any)  { l.log.Error().Msgf(format, v...) }
func (l natsLog) Debugf(format string, v ...any)  { l.log.Trace().Msgf(format, v...) }
func (l natsLog) Tracef(string, ...any)           {}
