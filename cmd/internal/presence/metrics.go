package presence

// The metrics that are shown, which Distribution names.
const (
	ResponseTime = "clientele_http_request_duration_seconds"
	WriteSize    = "clientele_log_publish_batch_commands"
	WriteTime    = "clientele_log_publish_duration_seconds"
	BatchSize    = "clientele_worker_batch_commands"
	BatchTime    = "clientele_store_create_duration_seconds"
)

// shownMetric is a metric that is shown. The processes of its role and serve have it.
type shownMetric struct {
	metric, title string
	role          string
	seconds       bool
}

var shown = []shownMetric{
	{ResponseTime, "Response time, with requested waits", Ingress, true},
	{WriteSize, "Commands per write to the log", Ingress, false},
	{WriteTime, "Time of a write to the log", Ingress, true},
	{BatchSize, "Commands per batch of a worker", Worker, false},
	{BatchTime, "Time of a batch in the database", Worker, true},
}
