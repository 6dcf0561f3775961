package domain_test

import (
	"testing"

	"clientele/domain"
)

func BenchmarkParse(b *testing.B) {
	body := testdata(b, "full.command.json")
	b.ReportAllocs()
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		if _, err := domain.Parse(body, today); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRecordJSON(b *testing.B) {
	client := record(b, testdata(b, "full.request.json"))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := client.JSON(); err != nil {
			b.Fatal(err)
		}
	}
}
