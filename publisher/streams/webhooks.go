package streams

import (
	"cmp"

	"clientele/domain"

	"github.com/nats-io/nats.go/jetstream"
)

// The bucket of webhooks has one value for each endpoint's settings and one for its health, which replace the earlier ones, and the last
// records of its deliveries.
const (
	webhooksPerSubject = 1000
	webhooksMaxMessage = 16 << 10
)

// webhookBucket returns the settings of the key-value bucket CLIENT_WEBHOOKS, see package endpoint. It has no limit in bytes: each endpoint
// has less than webhooksPerSubject messages, and a full bucket would refuse to pause an endpoint.
func webhookBucket(cfg Config) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:              domain.StreamWebhooks,
		Description:       "Clientele: endpoints of webhooks with their encrypted secrets, and their last deliveries",
		Subjects:          []string{WebhookKeys + ">"},
		Retention:         jetstream.LimitsPolicy,
		Replicas:          cfg.Replicas,
		MaxMsgSize:        webhooksMaxMessage,
		MaxMsgsPerSubject: webhooksPerSubject,
		AllowRollup:       true,
		AllowMsgTTL:       true,
	}
}

// WebhookKeys is the prefix of the subjects of the bucket's keys.
const WebhookKeys = "$KV.CLIENT_WEBHOOKS."

// metadataEncryption is the key in the metadata of the command log for a secret that encrypts those of webhooks. Only a log of version 0.1
// has it, because such a log has no secret of the installation.
const metadataEncryption = "clientele-encryption-secret"

// EncryptionSecret returns the secret from which the key for the secrets of webhooks is derived, or "" before the log is migrated.
func EncryptionSecret(log jetstream.StreamConfig) string {
	return cmp.Or(SecretOf(log), log.Metadata[metadataEncryption])
}
