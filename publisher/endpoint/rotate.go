package endpoint

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// mostPrevious is how many previous secrets can sign beside the current one.
const mostPrevious = 4

// TooManySecretsError means that an endpoint has been rotated so often that one more secret cannot sign. Until is when the next ends.
type TooManySecretsError struct {
	Name  string
	Until time.Time
}

func (e *TooManySecretsError) Error() string {
	return fmt.Sprintf("webhook %s signs with %d previous secrets, the first of them until %s", e.Name, mostPrevious, e.Until.Format(time.RFC3339))
}

// Rotate replaces the signing key. Until the end of the overlap, the former one signs as well, and those of earlier rotations until theirs.
// An overlap of 0 ends all of them. It returns a *TooManySecretsError if more than four would sign beside the new one, and errors like Set.
func (b *Bucket) Rotate(ctx context.Context, e Endpoint, key []byte, overlap time.Duration) error {
	now := time.Now().UTC()
	previous := append([]PreviousSecret{{e.Secret, now.Add(overlap)}}, e.Previous...)
	e.Previous = slices.DeleteFunc(previous, func(p PreviousSecret) bool {
		_, err := b.sealer.open(e.Name, p.Secret)
		return err != nil || overlap == 0 || !p.Until.After(now)
	})
	if len(e.Previous) > mostPrevious {
		first := slices.MinFunc(e.Previous[1:], func(a, b PreviousSecret) int { return a.Until.Compare(b.Until) })
		return &TooManySecretsError{e.Name, first.Until}
	}
	e.Secret = b.sealer.seal(e.Name, key)
	return b.Set(ctx, e)
}

// Keys returns the keys that sign at a time: the current one first. An error is a *SealError.
func (b *Bucket) Keys(e Endpoint, at time.Time) (keys [][]byte, _ error) {
	secrets := [][]byte{e.Secret}
	for _, p := range e.Previous {
		if at.Before(p.Until) {
			secrets = append(secrets, p.Secret)
		}
	}
	for _, secret := range secrets {
		key, err := b.sealer.open(e.Name, secret)
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, nil
}
