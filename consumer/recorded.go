package consumer

import (
	"context"
	"time"

	"clientele/domain"

	"github.com/rs/zerolog"
)

const (
	// recordsInterval is the time between two looks for old records.
	recordsInterval = time.Minute
	// recordsStep is the most records that are removed at a time, so that no transaction is long.
	recordsStep = 1000
)

// RejectionRecorder records in the database which operations were rejected.
type RejectionRecorder interface {
	// RecordRejections returns nil when the records are on disk. After an error the worker repeats the call.
	RecordRejections(ctx context.Context, rejections []domain.Rejection) error
	// TrimRejections removes the records of the n oldest rejections before this time, or of fewer, and returns their number.
	TrimRejections(ctx context.Context, before time.Time, n int) (int, error)
}

// recordedOutcomes are Outcomes whose rejections are recorded once they are on their stream: a record never names one that is not there yet.
type recordedOutcomes struct {
	Outcomes

	recorder RejectionRecorder
}

// PublishRejections implements Outcomes.
func (o recordedOutcomes) PublishRejections(rejections []domain.Rejection) error {
	if err := o.Outcomes.PublishRejections(rejections); err != nil {
		return err
	}
	// A worker that is told to stop still finishes its batch.
	ctx, cancel := context.WithTimeout(context.Background(), createTimeout)
	defer cancel()
	return o.recorder.RecordRejections(ctx, rejections)
}

// trimRecords removes old records of rejections every minute until the context ends.
func trimRecords(ctx context.Context, recorder RejectionRecorder, log zerolog.Logger) {
	ticker := time.NewTicker(recordsInterval)
	defer ticker.Stop()
	for {
		for {
			began := time.Now()
			n, err := trimSomeRecords(ctx, recorder)
			if err != nil && ctx.Err() == nil {
				log.Warn().Err(err).Msg("cannot remove old records of rejections; trying again in a minute")
			}
			if n < recordsStep || ctx.Err() != nil {
				break
			}
			pause(ctx, time.Since(began)) // others use the database meanwhile
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// trimSomeRecords removes records of rejections that have left their stream by their age, and returns their number.
func trimSomeRecords(ctx context.Context, recorder RejectionRecorder) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, trimTimeout)
	defer cancel()
	return recorder.TrimRejections(ctx, time.Now().Add(-domain.RejectionRetention), recordsStep)
}
