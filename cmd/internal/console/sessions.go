package console

import (
	"crypto/rand"
	"crypto/sha256"
	"sync"
	"time"
)

const (
	// sessionLife is how long a browser stays signed in at most.
	sessionLife = 12 * time.Hour
	// maxSessions bounds the memory of sessions. A further one ends the oldest.
	maxSessions = 1000
)

// session is a browser that is signed in. Its token is checked again at each request, so that a revoked key ends the session.
type session struct {
	token string
	until time.Time
}

// sessions are those of the browsers that are signed in. A restart of the process ends them.
type sessions struct {
	mu     sync.Mutex
	byHash map[[sha256.Size]byte]session // by the hash of the id
}

func newSessions() *sessions { return &sessions{byHash: map[[sha256.Size]byte]session{}} }

// begin returns the id of a new session. Nobody can guess it.
func (s *sessions) begin(token string, now time.Time) (id string) {
	id = rand.Text()
	s.mu.Lock()
	defer s.mu.Unlock()
	var oldest [sha256.Size]byte
	first := now.Add(2 * sessionLife)
	for hash, other := range s.byHash {
		if !now.Before(other.until) {
			delete(s.byHash, hash)
		} else if other.until.Before(first) {
			oldest, first = hash, other.until
		}
	}
	if len(s.byHash) >= maxSessions {
		delete(s.byHash, oldest)
	}
	s.byHash[sha256.Sum256([]byte(id))] = session{token, now.Add(sessionLife)}
	return id
}

// token returns the token of a session, or "" if there is no such session.
func (s *sessions) token(id string, now time.Time) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := s.byHash[sha256.Sum256([]byte(id))]
	if !now.Before(found.until) {
		return ""
	}
	return found.token
}

// end ends a session.
func (s *sessions) end(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.byHash, sha256.Sum256([]byte(id)))
}
