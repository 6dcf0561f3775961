package publisher

import (
	"sync"
	"time"

	"github.com/google/uuid"
)

// maxRecent is how many ids a half of recent has at most. A full one needs about 3 MB.
const maxRecent = 50_000

// recent remembers the ids of keyed commands that were published lately, and when those that the log acknowledged were accepted. It only
// says where to look: the log may have lost a command since, or removed it.
type recent struct {
	mu sync.Mutex
	// The values are Unix times in microseconds, 0 without an acknowledgement. Without pointers, the garbage collector skips the maps.
	newer, older map[uuid.UUID]int64
}

// published remembers that a command is being published.
func (r *recent) published(id uuid.UUID) { r.set(id, 0) }

// acknowledged remembers that the command that was accepted at this time is on disk.
func (r *recent) acknowledged(id uuid.UUID, acceptedAt time.Time) { r.set(id, acceptedAt.UnixMicro()) }

func (r *recent) set(id uuid.UUID, acceptedAt int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.newer == nil || len(r.newer) >= maxRecent {
		r.newer, r.older = make(map[uuid.UUID]int64), r.newer
	}
	r.newer[id] = acceptedAt
}

// has reports whether the command may be on the log.
func (r *recent) has(id uuid.UUID) bool {
	_, ok := r.get(id)
	return ok
}

// isOnDisk reports whether the log acknowledged the command that was accepted at this time.
func (r *recent) isOnDisk(id uuid.UUID, acceptedAt time.Time) bool {
	at, ok := r.get(id)
	return ok && at != 0 && at == acceptedAt.UnixMicro()
}

func (r *recent) get(id uuid.UUID) (acceptedAt int64, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if acceptedAt, ok = r.newer[id]; !ok {
		acceptedAt, ok = r.older[id]
	}
	return acceptedAt, ok
}
