package inspect

import (
	"time"

	"clientele/cmd/internal/presence"
	"clientele/publisher/endpoint"
	"clientele/publisher/workers"
)

// Status is the state of an installation at one time. Durations are in seconds, sizes in bytes.
type Status struct {
	At     time.Time `json:"at"`
	Health Health    `json:"health"`
	// Problems are the findings that are not OK, the worst first.
	Problems    []Finding    `json:"problems"`
	NATS        NATS         `json:"nats"`
	Database    Database     `json:"database"`
	Commands    Commands     `json:"commands"`
	Rejections  Records      `json:"rejections"`
	Audit       Records      `json:"audit"`
	Streams     []Stream     `json:"streams"`
	Subscribers []Subscriber `json:"subscribers"`
	Webhooks    []Webhook    `json:"webhooks"`
	// SubscribersError and WebhooksError say why the lists, or what they say, are incomplete.
	SubscribersError string `json:"subscribersError,omitzero"`
	WebhooksError    string `json:"webhooksError,omitzero"`
	// Processes are the live ones, by role, and Figures is what they measure. ProcessesError says why they cannot be seen. A look within
	// 1.4 s of the start of its Looker has none.
	Processes      []presence.Process `json:"processes"`
	ProcessesError string             `json:"processesError,omitzero"`
	Figures        *presence.Figures  `json:"figures,omitzero"`
	// GivenUp is the number of events that the receivers of webhooks have not accepted.
	GivenUp uint64 `json:"givenUp"`
}

// NATS is the server that answers.
type NATS struct {
	URL     string `json:"url"` // without user and password
	Server  string `json:"server"`
	Version string `json:"version"`
	Cluster string `json:"cluster,omitzero"` // "" for a server without others

	RoundTripSeconds float64 `json:"roundTripSeconds"`
}

// Database is the database of the clients.
type Database struct {
	Answers bool   `json:"answers"`
	Error   string `json:"error,omitzero"` // why it does not answer, or why this program cannot use it
	Product string `json:"product,omitzero"`
	Version string `json:"version,omitzero"`
	Schema  int64  `json:"schema"`  // 0 for none
	Program int64  `json:"program"` // the schema version of this program

	ResponseSeconds float64 `json:"responseSeconds"`
}

// Commands is the command log and the consumer that all workers share.
type Commands struct {
	// Accepted is how many messages the log has ever stored: a command each, and a few that ingresses add for retries and look-ups.
	Accepted uint64 `json:"accepted"`
	// Completed is the number of the last message below which all have their outcome.
	Completed uint64 `json:"completed"`
	// LastAccepted is when the last of them was stored.
	LastAccepted time.Time `json:"lastAccepted,omitzero"`
	// Backlog are the messages without an outcome: Waiting ones, and those that workers have.
	Backlog    uint64 `json:"backlog"`
	Waiting    uint64 `json:"waiting"`
	InProgress int    `json:"inProgress"`
	// Redelivered are those that were delivered more than once.
	Redelivered int `json:"redelivered"`
	// OldestSeconds is the age of the oldest one; 0 without one, and if it is unknown.
	OldestSeconds float64 `json:"oldestSeconds"`
	// Fetches are the requests of workers that wait for commands. NoWorker means that this sample and the one before had none, and that
	// no worker has commands.
	Fetches  int  `json:"fetches"`
	NoWorker bool `json:"noWorker"`
	// Paused is nil unless an operator has paused the workers.
	Paused *workers.Paused `json:"paused,omitzero"`
	// Rates are nil until there are two samples.
	Rates *Rates `json:"rates,omitzero"`
	Error string `json:"error,omitzero"`
}

// Rates are averages since the sample before, per second.
type Rates struct {
	Seconds      float64 `json:"seconds"` // between the samples
	Accepted     float64 `json:"accepted"`
	Completed    float64 `json:"completed"`
	Redeliveries float64 `json:"redeliveries"`
}

// Records is a stream of records about commands or actions.
type Records struct {
	Count uint64    `json:"count"`
	Last  time.Time `json:"last,omitzero"`
}

// Stream is the state of a stream.
type Stream struct {
	Name     string    `json:"name"`
	Messages uint64    `json:"messages"`
	Bytes    uint64    `json:"bytes"`
	MaxBytes int64     `json:"maxBytes,omitzero"` // 0 for no limit
	Last     time.Time `json:"last,omitzero"`     // when the newest message was stored

	MaxAgeSeconds float64 `json:"maxAgeSeconds,omitzero"` // 0 for no limit

	// Replicas is how many servers keep each message. Leader and Followers are empty for a server without others.
	Replicas  int       `json:"replicas"`
	Leader    string    `json:"leader,omitzero"`
	Followers []Replica `json:"followers,omitzero"`
	// Error says why the stream cannot be read.
	Error string `json:"error,omitzero"`
}

// Used returns the share of the limit in bytes that is used, or 0 without a limit.
func (s Stream) Used() float64 {
	if s.MaxBytes <= 0 {
		return 0
	}
	return float64(s.Bytes) / float64(s.MaxBytes)
}

// Replica is a follower of a stream.
type Replica struct {
	Server  string `json:"server"`
	Current bool   `json:"current"`
	Offline bool   `json:"offline,omitzero"`
	// Lag is how many operations it is behind the leader.
	Lag uint64 `json:"lag"`
	// SeenSeconds is how long ago the leader heard of it; 0 also if it never has.
	SeenSeconds float64 `json:"seenSeconds"`
}

// Subscriber is the durable consumer of a subscriber.
type Subscriber struct {
	Name string `json:"name"`
	// Waiting are the events that were not delivered yet, Unacknowledged those that were delivered and not acknowledged.
	Waiting        uint64 `json:"waiting"`
	Unacknowledged int    `json:"unacknowledged"`
	// OldestSeconds is the age of the oldest event that it has not acknowledged; 0 without one.
	OldestSeconds float64   `json:"oldestSeconds"`
	LastDelivery  time.Time `json:"lastDelivery,omitzero"`
	// Fetches are its requests that wait for events: 0 if it is not connected.
	Fetches int `json:"fetches"`
}

// Webhook is the state of an endpoint. Subscribers has its consumer, under the same name.
type Webhook struct {
	Name string `json:"name"`
	// Host is that of the URL. The rest of the URL may be secret.
	Host  string         `json:"host"`
	State endpoint.State `json:"state"`
	// LastSuccess is at most a minute before the last success. FailingSince is the time of the first failure after that.
	LastSuccess  time.Time `json:"lastSuccess,omitzero"`
	FailingSince time.Time `json:"failingSince,omitzero"`
	LastError    string    `json:"lastError,omitzero"`
	// Waiting are the events that were not accepted yet.
	Waiting uint64 `json:"waiting"`
	// Lost means that it has no consumer.
	Lost bool `json:"lost,omitzero"`
}
