package datadir

import "github.com/prometheus/client_golang/prometheus"

var (
	diskFreeBytes = prometheus.NewDesc("clientele_disk_free_bytes",
		"Free space on the disk of --data-dir, beside the reserve. With little, serve refuses commands; without any, it ends.", nil, nil)
	diskBytes = prometheus.NewDesc("clientele_disk_bytes", "Size of the disk of --data-dir.", nil, nil)
)

// Describe implements prometheus.Collector.
func (*Dir) Describe(descriptions chan<- *prometheus.Desc) {
	descriptions <- diskFreeBytes
	descriptions <- diskBytes
}

// Collect implements prometheus.Collector.
func (d *Dir) Collect(values chan<- prometheus.Metric) {
	free, size, err := Disk(d.path)
	if err != nil {
		return
	}
	values <- prometheus.MustNewConstMetric(diskFreeBytes, prometheus.GaugeValue, float64(free))
	values <- prometheus.MustNewConstMetric(diskBytes, prometheus.GaugeValue, float64(size))
}
