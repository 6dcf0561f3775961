// Package presence shows which processes of Clientele live, and what they measure. Each announces itself every second on a NATS subject
// of its role, and an operator listens. Nothing is stored, and nobody replies: a process chooses neither the role under which it is seen,
// which is that of its account on NATS, nor a subject to which others publish.
package presence

import (
	"cmp"
	"strings"
	"time"
)

// The roles of processes.
const (
	Serve   = "serve"
	Ingress = "ingress"
	Worker  = "worker"
	Forward = "forward"
	Console = "console" // apart from serve
)

// subjects is the prefix of the subjects of announcements. A role follows.
const subjects = "presence."

// The times of announcements.
const (
	interval = time.Second // also between two looks at readiness
	// lifetime is how long a process is listed after its last announcement.
	lifetime = 3500 * time.Millisecond
	// refusedPause is how long a process that may not announce itself waits before it tries again.
	refusedPause = time.Minute
)

// The limits of an announcement, and of a list. A process with the credentials of its role could announce anything under that role.
const (
	maxBody      = 16 << 10 // bytes: more than the texts and the figures can have in JSON
	maxReasons   = 4
	maxText      = 200 // characters
	maxProcesses = 500 // of a role
)

// Process is a live process.
type Process struct {
	// Role is its role. A listener has it from the subject.
	Role string `json:"role"`
	// ID differs after each start.
	ID      string    `json:"id"`
	Version string    `json:"version"`
	Host    string    `json:"host"`
	Started time.Time `json:"started"`
	// Ready reports whether it can do its work. Reasons say why not, or which optional dependencies are missing.
	Ready   bool     `json:"ready"`
	Reasons []string `json:"reasons,omitzero"`
}

// compare orders processes by role, host and start.
func compare(a, b Process) int {
	return cmp.Or(
		strings.Compare(a.Role, b.Role), strings.Compare(a.Host, b.Host), a.Started.Compare(b.Started), strings.Compare(a.ID, b.ID),
	)
}
