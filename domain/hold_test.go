package domain_test

import (
	"testing"
	"time"

	"clientele/domain"

	"github.com/google/uuid"
)

func TestAHoldCountsToTheEndOfItsLastDay(t *testing.T) {
	day := time.Date(2027, 12, 31, 0, 0, 0, 0, time.UTC)
	hold := domain.NewHold(uuid.New(), day, time.Now(), "", "")
	if end := day.AddDate(0, 0, 1); hold.Until() != "2027-12-31" || !hold.Active(end.Add(-time.Microsecond)) || hold.Active(end) {
		t.Errorf("until %s: %v at the end of the day, %v after it", hold.Until(), hold.Active(end.Add(-time.Microsecond)), hold.Active(end))
	}
}
