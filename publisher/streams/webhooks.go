package streams

import (
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
func webhookBucket(replicas int) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:              domain.StreamWebhooks,
		Description:       "Clientele: endpoints of webhooks with their encrypted secrets, and their last deliveries",
		Subjects:          []string{WebhookKeys + ">"},
		Retention:         jetstream.LimitsPolicy,
		Replicas:          replicas,
		MaxMsgSize:        webhooksMaxMessage,
		MaxMsgsPerSubject: webhooksPerSubject,
		AllowRollup:       true,
		AllowMsgTTL:       true,
	}
}

// WebhookKeys is the prefix of the subjects of the bucket's keys.
const WebhookKeys = "$KV.CLIENT_WEBHOOKS."
