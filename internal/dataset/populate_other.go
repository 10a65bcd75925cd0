//go:build !linux

package dataset

const mapPopulate = 0
