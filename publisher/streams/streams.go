// Package streams creates the streams, changes their settings, and opens them.
package streams

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"time"

	"clientele/domain"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// maxMessageSize is the maximum size of a command or an audit record with its headers, in bytes. An ingress uses less than half of it. A rejection
// contains the command, so the limit keeps rejections of foreign commands below NATS's default payload limit of 1 MiB.
const maxMessageSize = 64 << 10

// The state of subscribers is small. The limits keep one of them from filling the disk of the server.
const (
	subscriptionsMaxBytes   = 64 << 20
	subscriptionsMaxMessage = 2 << 10
)

// deduplication is how long the event stream remembers ids. It hides duplicates after a worker crash. The server keeps the
// ids in memory; subscribers that need a longer period store the ids themselves.
const deduplication = 2 * time.Minute

// The metadata of the command log has the first of each pair once the stream exists. An installation of an earlier version has none.
var marks = map[string]string{
	"clientele-audit": domain.StreamAudit, "clientele-subscriptions": domain.StreamSubscriptions, "clientele-webhooks": domain.StreamWebhooks,
}

// MinEventRetention is the shortest retention of events: NATS refuses one shorter than the deduplication period.
const MinEventRetention = deduplication

// Config has the settings of the streams. A zero value keeps the setting of an existing stream, and means the default for
// a new one.
type Config struct {
	// Replicas is the number of servers that keep each message: 1, 3 or 5.
	Replicas int
	// LogMaxBytes is the size in bytes at which the command log refuses new commands.
	LogMaxBytes int64
	// EventRetention is how long client.created events are kept.
	EventRetention time.Duration
	// EventMaxBytes is the size in bytes above which the oldest events are dropped before their retention ends, or -1 for no limit.
	EventMaxBytes int64
	// AuditRetention is how long audit records are kept.
	AuditRetention time.Duration
	// Memory is the memory of the server in bytes, which bounds the size of a new log if LogMaxBytes is 0; 0 means that it is not known.
	Memory int64
	// Created, if not nil, is called with the name of each new stream.
	Created func(stream string)
	// Outgrows, if not nil, is called with a *MemoryError if a full command log needs more memory.
	Outgrows func(error)
}

// The defaults of Config, beside DefaultLogMaxBytes.
const (
	DefaultReplicas       = 1
	DefaultEventRetention = 30 * 24 * time.Hour
	DefaultEventMaxBytes  = -1 // a default that drops events could take them from a subscriber that is behind
	DefaultAuditRetention = 400 * 24 * time.Hour
)

// Migrate creates the streams, or changes existing ones to these settings. It keeps their messages, except events
// older than a shorter retention or above a smaller limit. An error is a *RefusedError if the server refuses the settings.
func Migrate(ctx context.Context, js jetstream.JetStream, cfg Config) error {
	for _, stream := range []jetstream.StreamConfig{
		// The first three, because the log is marked once they exist.
		auditStream(cfg),
		webhookBucket(cfg.Replicas),
		{
			Name:              domain.StreamSubscriptions,
			Description:       "Clientele: positions of subscribers, and the events that they have not accepted",
			Subjects:          []string{domain.SubjectUndelivered + "*.*", domain.SubjectPosition + "*"},
			Retention:         jetstream.LimitsPolicy,
			Replicas:          cfg.Replicas,
			MaxBytes:          subscriptionsMaxBytes,
			MaxMsgSize:        subscriptionsMaxMessage,
			MaxMsgsPerSubject: 1,
			Discard:           jetstream.DiscardNew,
		},
		{
			// A log, not a work queue: an ack deletes nothing, so it costs no fsync. With one message for each subject, the log
			// itself refuses a second command for an id. No MaxAge: an unprocessed command is never dropped.
			Name:                 domain.StreamCommands,
			Description:          "Clientele: create-client commands, one per client id",
			Subjects:             []string{domain.SubjectCreate + "*", domain.SubjectSync + "*"},
			Retention:            jetstream.LimitsPolicy,
			Replicas:             cfg.Replicas,
			MaxBytes:             cfg.LogMaxBytes,
			MaxMsgSize:           maxMessageSize,
			MaxMsgsPerSubject:    1,
			Discard:              jetstream.DiscardNew,
			DiscardNewPerSubject: true,
			Metadata:             marked(),
		},
		{
			Name:        domain.StreamEvents,
			Description: "Clientele: client.created, each with the full record, and client.erased (CloudEvents 1.0, binary mode)",
			Subjects:    []string{domain.SubjectCreated, domain.SubjectErased},
			Retention:   jetstream.LimitsPolicy,
			Replicas:    cfg.Replicas,
			MaxAge:      cfg.EventRetention,
			MaxBytes:    cfg.EventMaxBytes,
			Discard:     jetstream.DiscardOld, // a stream that refused events would stop the workers, and then the API
			Duplicates:  deduplication,
		},
		{
			Name:              domain.StreamRejections,
			Description:       "Clientele: rejected commands and their reasons",
			Subjects:          []string{domain.SubjectRejected + "*"},
			Retention:         jetstream.LimitsPolicy,
			Replicas:          cfg.Replicas,
			MaxAge:            domain.RejectionRetention,
			MaxMsgsPerSubject: 1,
		},
	} {
		if err := migrateStream(ctx, js, cfg, stream); err != nil {
			return err
		}
	}
	return nil
}

// marked returns the metadata of a log beside which every stream exists.
func marked() map[string]string {
	metadata := map[string]string{}
	for mark := range marks {
		metadata[mark] = "true"
	}
	return metadata
}

// CreateAudit creates the audit stream if it is missing, so that the migration of the others can be recorded before it begins.
// Its errors are those of Migrate.
func CreateAudit(ctx context.Context, js jetstream.JetStream, cfg Config) error {
	err := Exist(ctx, js, domain.StreamAudit)
	if _, missing := errors.AsType[*MissingError](err); missing {
		return migrateStream(ctx, js, cfg, auditStream(cfg))
	}
	return err
}

// auditStream returns the settings of the audit stream. It is append-only: the server refuses to delete or purge its messages, and
// to change that. It is compressed to a third; an existing one from the next start of the server. The others are not: the server would
// leave copies of their blocks on disk that no erasure reaches (RESULTS.md).
func auditStream(cfg Config) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:        domain.StreamAudit,
		Description: "Clientele: who read, changed and erased clients, and who was refused; append-only",
		Subjects:    []string{domain.SubjectAudit + "*"},
		Retention:   jetstream.LimitsPolicy,
		Replicas:    cfg.Replicas,
		MaxAge:      cfg.AuditRetention,
		MaxMsgSize:  maxMessageSize,
		Duplicates:  deduplication,
		Compression: jetstream.S2Compression,
		DenyDelete:  true,
		DenyPurge:   true,
	}
}

// migrateStream creates the stream, or changes an existing one. A stream that another program creates at the same time is changed like
// an existing one: creating it again would replace the secret that ingresses already use.
func migrateStream(ctx context.Context, js jetstream.JetStream, cfg Config, stream jetstream.StreamConfig) error {
	stream.Storage = jetstream.FileStorage
	stream.AllowDirect = true
	stream.AllowAtomicPublish = true
	for {
		settings, exists, err := complete(ctx, js, cfg, stream)
		if err != nil {
			return err
		}
		if stream.Name == domain.StreamCommands && cfg.Outgrows != nil {
			if err := CheckMemory(settings.MaxBytes, cfg.Memory); err != nil {
				cfg.Outgrows(err)
			}
		}
		if exists {
			_, err = js.UpdateStream(ctx, settings)
			return streamError(stream.Name, err)
		}
		_, err = js.CreateStream(ctx, settings)
		if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
			continue
		}
		if err == nil && cfg.Created != nil {
			cfg.Created(stream.Name)
		}
		return streamError(stream.Name, err)
	}
}

// streamError returns the error that the server's response to the settings of a stream means, or nil.
func streamError(name string, err error) error {
	if err == nil {
		return nil
	}
	if api, ok := errors.AsType[*jetstream.APIError](err); ok && api.Code != http.StatusServiceUnavailable {
		return &RefusedError{Stream: name, Err: err}
	}
	return fmt.Errorf("stream %s: %w", name, err)
}

// metadataSecret is the key in the metadata of the command log for the secret of the installation, see domain.KeyedID. It is 256
// random bits in base64. It is on the log because ids have a meaning for as long as the log and the database exist: a backup has
// both, and every ingress reads the settings of the log.
const metadataSecret = "clientele-id-secret"

// SecretOf returns the secret of the installation, or "" if version 0.1 created its log.
func SecretOf(log jetstream.StreamConfig) string { return log.Metadata[metadataSecret] }

// metadataEncryption is the key in the metadata of the command log for a secret that encrypts those of webhooks. Only a log of version 0.1
// has it, because such a log has no secret of the installation.
const metadataEncryption = "clientele-encryption-secret"

// EncryptionSecret returns the secret from which the key for the secrets of webhooks is derived, or "" before the log is migrated.
func EncryptionSecret(log jetstream.StreamConfig) string {
	return cmp.Or(SecretOf(log), log.Metadata[metadataEncryption])
}

// newSecret returns 256 random bits in base64.
func newSecret() string {
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // never fails
	return base64.StdEncoding.EncodeToString(secret)
}

// complete returns the settings with the zero ones set to those of the existing stream, or else to the defaults. It reports whether
// the stream exists.
func complete(ctx context.Context, js jetstream.JetStream, cfg Config, stream jetstream.StreamConfig) (_ jetstream.StreamConfig, exists bool, err error) {
	current := jetstream.StreamConfig{Replicas: DefaultReplicas}
	switch stream.Name {
	case domain.StreamCommands:
		current.MaxBytes = defaultLog(cfg.Memory)
		current.Metadata = map[string]string{metadataSecret: newSecret()}
	case domain.StreamEvents:
		current.MaxAge = DefaultEventRetention
		current.MaxBytes = DefaultEventMaxBytes
	case domain.StreamAudit:
		current.MaxAge = DefaultAuditRetention
	}
	s, err := Open(ctx, js, stream.Name)
	if _, missing := errors.AsType[*MissingError](err); err != nil && !missing {
		return stream, false, err
	}
	if exists = err == nil; exists {
		current = s.CachedInfo().Config
	}
	stream.Replicas = cmp.Or(stream.Replicas, current.Replicas)
	stream.MaxBytes = cmp.Or(stream.MaxBytes, current.MaxBytes)
	stream.MaxAge = cmp.Or(stream.MaxAge, current.MaxAge)
	stream.Metadata = maps.Clone(stream.Metadata) // complete may run again
	if secret := SecretOf(current); secret != "" {
		stream.Metadata[metadataSecret] = secret
	} else if stream.Name == domain.StreamCommands {
		stream.Metadata[metadataEncryption] = cmp.Or(current.Metadata[metadataEncryption], newSecret())
	}
	return stream, exists, nil
}

// RefusedError means that the server refuses the settings of a stream: it is larger than the disk, has more replicas than
// there are servers, or requires a change that NATS does not support.
type RefusedError struct {
	Stream string
	Err    error
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("NATS refuses stream %s: %v", e.Stream, e.Err)
}

func (e *RefusedError) Unwrap() error { return e.Err }

// MissingError means that the server answers, but does not have the stream.
type MissingError struct{ Stream string }

func (e *MissingError) Error() string {
	return "stream " + e.Stream + " is missing"
}

// Open returns a handle on a stream, or a *MissingError.
func Open(ctx context.Context, js jetstream.JetStream, name string) (jetstream.Stream, error) {
	stream, err := js.Stream(ctx, name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, &MissingError{Stream: name}
	}
	if err != nil {
		return nil, fmt.Errorf("look up stream %s: %w", name, err)
	}
	return stream, nil
}

// Ready returns nil if the server answers and has the streams that it once had, or a *MissingError if one is missing. An
// installation of a version without one lacks none.
func Ready(ctx context.Context, js jetstream.JetStream) error {
	if err := Exist(ctx, js, domain.StreamCommands, domain.StreamEvents, domain.StreamRejections); err != nil {
		return err
	}
	commands, err := Open(ctx, js, domain.StreamCommands)
	for mark, name := range marks {
		if err == nil && commands.CachedInfo().Config.Metadata[mark] != "" {
			err = Exist(ctx, js, name)
		}
	}
	return err
}

// OnOneServer reports whether the server is one of a cluster and the command log is on one server only: without that server, no
// command is accepted, and without its disk, accepted commands are lost. It returns false if the server does not answer.
func OnOneServer(ctx context.Context, nc *nats.Conn) bool {
	js, err := jetstream.New(nc)
	if err != nil {
		return false
	}
	log, err := Open(ctx, js, domain.StreamCommands)
	if err != nil {
		return false
	}
	info := log.CachedInfo()
	return info.Cluster != nil && info.Cluster.Name != "" && info.Config.Replicas == 1
}

// Exist returns nil if the server answers and has the streams with these names, or a *MissingError.
func Exist(ctx context.Context, js jetstream.JetStream, names ...string) error {
	if nc := js.Conn(); !nc.IsConnected() {
		if refused := nc.LastError(); refused != nil {
			return fmt.Errorf("NATS cannot be reached: %w", refused)
		}
		return errors.New("NATS cannot be reached")
	}
	for _, name := range names {
		if _, err := Open(ctx, js, name); err != nil {
			return err
		}
	}
	return nil
}

// LogIsUsed reports whether the server has a command log that ever had a command.
func LogIsUsed(ctx context.Context, js jetstream.JetStream) (bool, error) {
	stream, err := Open(ctx, js, domain.StreamCommands)
	if _, missing := errors.AsType[*MissingError](err); missing {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return stream.CachedInfo().State.LastSeq > 0, nil
}
