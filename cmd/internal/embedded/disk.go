package embedded

import (
	"fmt"
	"os"
	"syscall"

	"github.com/prometheus/client_golang/prometheus"
)

// minFree is the free disk space in bytes that a start requires. With less, the first write would fail and stop the server.
const minFree = 1 << 20

// diskSize creates the directory if it does not exist, and returns the size of its disk in bytes. A full disk is an error.
func diskSize(dir string) (int64, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return 0, err
	}
	free, size, err := disk(dir)
	if err != nil {
		return 0, fmt.Errorf("size of the disk: %w", err)
	}
	if free < minFree {
		return 0, fmt.Errorf("the disk of %s is full: free space and restart", dir)
	}
	return size, nil
}

// disk returns the free space and the size of the disk with this directory, in bytes.
func disk(dir string) (free, size int64, err error) {
	var stat syscall.Statfs_t
	if err := syscall.Statfs(dir, &stat); err != nil {
		return 0, 0, err
	}
	block := int64(stat.Bsize) //nolint:unconvert // uint32 on macOS
	return int64(stat.Bavail) * block, int64(stat.Blocks) * block, nil
}

var (
	diskFreeBytes = prometheus.NewDesc("clientele_disk_free_bytes", "Free space on the disk of --data-dir. Without any, serve ends.", nil, nil)
	diskBytes     = prometheus.NewDesc("clientele_disk_bytes", "Size of the disk of --data-dir.", nil, nil)
)

// diskCollector collects the metrics of the disk with this directory.
type diskCollector string

// Describe implements prometheus.Collector.
func (diskCollector) Describe(descriptions chan<- *prometheus.Desc) {
	descriptions <- diskFreeBytes
	descriptions <- diskBytes
}

// Collect implements prometheus.Collector.
func (dir diskCollector) Collect(values chan<- prometheus.Metric) {
	free, size, err := disk(string(dir))
	if err != nil {
		return
	}
	values <- prometheus.MustNewConstMetric(diskFreeBytes, prometheus.GaugeValue, float64(free))
	values <- prometheus.MustNewConstMetric(diskBytes, prometheus.GaugeValue, float64(size))
}
