// Package inspect looks at an installation of Clientele from outside: at its NATS and its database, with the rights of an operator. It
// changes nothing. What it returns has JSON names and contains no client data.
package inspect

// Health says how well an installation, or a part of it, works.
type Health string

// The degrees of health.
const (
	OK Health = "ok"
	// Warn means that it works, and that an operator should look at it soon.
	Warn Health = "warn"
	// Fail means that callers or subscribers notice it, or that accepted commands are at risk.
	Fail Health = "fail"
)

// Worse returns the worse of two degrees.
func (h Health) Worse(other Health) Health {
	rank := map[Health]int{OK: 0, Warn: 1, Fail: 2}
	if rank[other] > rank[h] {
		return other
	}
	return h
}

// Finding is the result of one check.
type Finding struct {
	// Name is a short name of what was checked.
	Name   string `json:"name"`
	Result Health `json:"result"`
	// Found says what was found.
	Found string `json:"found"`
	// Do says what an operator can do, and See is the section of the documentation about it. Both are "" for OK.
	Do  string `json:"do,omitzero"`
	See string `json:"see,omitzero"`
}

// The sections of the documentation for operators that findings name.
const (
	SeeHealth      = "deploy/README.md#health-metrics-and-traces"
	SeeKeys        = "deploy/README.md#api-keys-and-tls"
	SeeLoss        = "deploy/README.md#when-a-process-ends"
	SeePause       = "deploy/README.md#pause-the-workers"
	SeeServers     = "deploy/README.md#separate-processes"
	SeeSizes       = "deploy/README.md#sizes-and-limits"
	SeeSubscribers = "deploy/README.md#subscribers"
	SeeUpgrade     = "deploy/README.md#upgrade"
	SeeWebhooks    = "deploy/README.md#webhooks"

	// SeeCommandsWait and the following ones are those of the alerts about the same.
	SeeCommandsWait     = "deploy/README.md#clientelecommandswait"
	SeeEventsFull       = "deploy/README.md#clienteleeventsneartheirlimit"
	SeeGivenUp          = "deploy/README.md#clientelegaveupevents"
	SeeLogFillsUp       = "deploy/README.md#clientelelogfillsup"
	SeeNoWorker         = "deploy/README.md#clientelehasnoworker"
	SeeNotReady         = "deploy/README.md#clienteleisnotready"
	SeeReplicaIsMissing = "deploy/README.md#clientelereplicaismissing"
	SeeStreamIsLarge    = "deploy/README.md#clientelestreamislarge"
	SeeWebhookDisabled  = "deploy/README.md#clientelewebhookdisabled"
	SeeWebhookFailing   = "deploy/README.md#clientelewebhookfailing"
	SeeWorkersBehind    = "deploy/README.md#clienteleworkersarebehind"
)
