package mem_test

import (
	"testing"

	"trmsweep/internal/blob"
	"trmsweep/internal/blob/blobtest"
	"trmsweep/internal/blob/mem"
)

func TestBucket(t *testing.T) {
	blobtest.Run(t, func(*testing.T) blob.Bucket { return mem.New(nil) })
}
