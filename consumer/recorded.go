package consumer

import (
	"context"
	"time"

	"clientele/domain"
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
