package main

import (
	"bytes"
	"errors"
	"io"
	"os"
)

// logFile is a file that is begun anew when it has got long: writing to it costs
// what writing a log costs, and it does not fill the disk.
type logFile struct {
	*os.File
	size    int
	reports int64 // REPORT lines in all
}

const maxLogFile = 32 << 20

func newLogFile(dir string) (*logFile, error) {
	f, err := os.CreateTemp(dir, "log-")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil { // gone when the process is
		return nil, errors.Join(err, f.Close())
	}
	return &logFile{File: f}, nil
}

func (f *logFile) Write(p []byte) (int, error) {
	if f.size += len(p); f.size > maxLogFile {
		f.size = len(p)
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return 0, err
		}
		if err := f.Truncate(0); err != nil {
			return 0, err
		}
	}
	f.reports += int64(bytes.Count(p, []byte("REPORT ")))
	return f.File.Write(p)
}
