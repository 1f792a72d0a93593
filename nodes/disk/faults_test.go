//go:build unix

package disk

import (
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	"github.com/hashicorp/raft-wal/fs"
	"github.com/hashicorp/raft-wal/types"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// faultyFiles are files whose disk fills up or breaks.
type faultyFiles struct {
	types.VFS
	createErr, writeErr, syncErr atomic.Pointer[error]
}

func raise(at *atomic.Pointer[error]) error {
	if err := at.Load(); err != nil {
		return *err
	}
	return nil
}

func (v *faultyFiles) Create(dir, name string, size uint64) (types.WritableFile, error) {
	if err := raise(&v.createErr); err != nil {
		return nil, err
	}
	f, err := v.VFS.Create(dir, name, size)
	return &faultyFile{f, v}, err
}

func (v *faultyFiles) OpenWriter(dir, name string) (types.WritableFile, error) {
	f, err := v.VFS.OpenWriter(dir, name)
	return &faultyFile{f, v}, err
}

type faultyFile struct {
	types.WritableFile
	v *faultyFiles
}

// WriteAt writes half when it fails, as a full disk does.
func (f *faultyFile) WriteAt(p []byte, at int64) (int, error) {
	if err := raise(&f.v.writeErr); err != nil {
		n, _ := f.WritableFile.WriteAt(p[:len(p)/2], at)
		return n, err
	}
	return f.WritableFile.WriteAt(p, at)
}

func (f *faultyFile) Sync() error {
	if err := raise(&f.v.syncErr); err != nil {
		return err
	}
	return f.WritableFile.Sync()
}

func entry(index uint64) *raft.Log {
	return &raft.Log{Index: index, Term: 1, Data: []byte(strings.Repeat("x", 3000))}
}

// TestNothingAcknowledgedIsLost fills the log over a disk that breaks, opens the
// directory again without the fault, and looks for what had been acknowledged.
func TestNothingAcknowledgedIsLost(t *testing.T) {
	noSpace, broken := error(syscall.ENOSPC), error(syscall.EIO)
	for name, c := range map[string]struct {
		fault func(v *faultyFiles)
		words string
	}{
		"disk full while writing":    {func(v *faultyFiles) { v.writeErr.Store(&noSpace) }, "no space left on device"},
		"disk full at a new segment": {func(v *faultyFiles) { v.createErr.Store(&noSpace) }, "next segment could not be made: 65536 bytes in "},
		"sync fails":                 {func(v *faultyFiles) { v.syncErr.Store(&broken) }, "input/output error"},
		"write fails":                {func(v *faultyFiles) { v.writeErr.Store(&broken) }, "input/output error"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := testConfig(t)
			vfs := &faultyFiles{VFS: fs.New()}
			d, err := open(cfg, quiet(), vfs)
			require.NoError(t, err)
			var acknowledged uint64
			for index := uint64(1); index <= 5; index++ {
				require.NoError(t, d.Stores().Log.StoreLog(entry(index)))
				acknowledged = index
			}
			c.fault(vfs)
			for err == nil && acknowledged < 1000 {
				if err = d.Stores().Log.StoreLog(entry(acknowledged + 1)); err == nil {
					acknowledged++
				}
			}
			require.ErrorContains(t, err, c.words)
			require.NoError(t, d.Close())

			d = mustOpen(t, cfg)
			defer d.Close()
			last, err := d.Stores().Log.LastIndex()
			require.NoError(t, err)
			require.GreaterOrEqual(t, last, acknowledged)
			for index := uint64(1); index <= acknowledged; index++ {
				var e raft.Log
				require.NoError(t, d.Stores().Log.GetLog(index, &e))
				require.Equal(t, entry(index).Data, e.Data)
			}
			require.NoError(t, d.Stores().Log.StoreLog(entry(last+1)), "and it goes on")
		})
	}
}

const limitedVar = "DISK_TEST_LIMITED_DIRECTORY"

// TestMain lets the test binary be its own child under a file size limit.
func TestMain(m *testing.M) {
	if directory := os.Getenv(limitedVar); directory != "" {
		os.Exit(limited(directory))
	}
	os.Exit(m.Run())
}

// limited writes snapshots under a limit and tells what became of them.
func limited(directory string) int {
	signal.Ignore(syscall.SIGXFSZ)
	d, err := Open(configAt(directory), quiet())
	if err != nil {
		os.Stdout.WriteString(err.Error())
		return 2
	}
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: 64 << 10, Max: 64 << 10}); err != nil {
		os.Stdout.WriteString(err.Error())
		return 2
	}
	sink, err := d.Stores().Snapshots.Create(1, 20, 2, raft.Configuration{}, 1, nil)
	for i := 0; i < 1000 && err == nil; i++ {
		_, err = sink.Write(make([]byte, 10<<10))
	}
	if err == nil {
		err = sink.Close()
	}
	if err == nil {
		return 0
	}
	os.Stdout.WriteString(err.Error())
	return 1
}

// TestSnapshotThatDoesNotFit has the kernel refuse the bytes of a snapshot.
func TestSnapshotThatDoesNotFit(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("limits of file sizes are tried on Linux")
	}
	cfg := testConfig(t)
	d := mustOpen(t, cfg)
	snapshotOf(t, d, 10, "the older state")
	require.NoError(t, d.Close())

	child := exec.CommandContext(t.Context(), os.Args[0])
	child.Env = append(os.Environ(), limitedVar+"="+cfg.Directory)
	child.WaitDelay = time.Minute
	out, err := child.Output()
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit, "%s", out)
	require.Equal(t, 1, exit.ExitCode(), "%s", out)
	require.Contains(t, string(out), "file too large")

	d = mustOpen(t, cfg)
	defer d.Close()
	kept, err := d.Stores().Snapshots.List()
	require.NoError(t, err)
	require.Len(t, kept, 1)
	require.EqualValues(t, 10, kept[0].Index)
	left, err := filepath.Glob(filepath.Join(cfg.Directory, snapshotDir, "*"+temporarySuffix))
	require.NoError(t, err)
	require.Empty(t, left)
}
