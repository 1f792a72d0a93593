package bench

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"
)

// Result is one row's medians over its runs.
type Result struct {
	Clients     int `json:"clients" yaml:"clients"`
	Connections int `json:"connections" yaml:"connections"`
	Locks       int `json:"locks" yaml:"locks"`
	Runs        int `json:"runs" yaml:"runs"`
	// PairsPerSecond is the median; Lowest and Highest are the extremes of the runs.
	PairsPerSecond float64 `json:"pairs_per_second" yaml:"pairs_per_second"`
	Lowest         float64 `json:"lowest" yaml:"lowest"`
	Highest        float64 `json:"highest" yaml:"highest"`
	// Medians over the runs of each run's percentiles, in nanoseconds.
	AcquireP50 time.Duration `json:"acquire_p50_ns" yaml:"acquire_p50_ns"`
	AcquireP99 time.Duration `json:"acquire_p99_ns" yaml:"acquire_p99_ns"`
	ReleaseP50 time.Duration `json:"release_p50_ns" yaml:"release_p50_ns"`
	ReleaseP99 time.Duration `json:"release_p99_ns" yaml:"release_p99_ns"`
}

// sample is one measurement of a row.
type sample struct {
	rate                                           float64
	acquireP50, acquireP99, releaseP50, releaseP99 time.Duration
}

func collect(workers []*worker, d time.Duration) sample {
	var acquires, releases []time.Duration
	for _, w := range workers {
		acquires = append(acquires, w.acquires...)
		releases = append(releases, w.releases...)
	}
	slices.Sort(acquires)
	slices.Sort(releases)
	return sample{
		rate:       float64(len(acquires)) / d.Seconds(),
		acquireP50: quantile(acquires, 0.50),
		acquireP99: quantile(acquires, 0.99),
		releaseP50: quantile(releases, 0.50),
		releaseP99: quantile(releases, 0.99),
	}
}

func summarize(row Row, runs []sample) Result {
	rates := sorted(runs, func(s sample) float64 { return s.rate })
	return Result{
		Clients: row.Clients, Connections: row.connections(), Locks: row.Locks, Runs: len(runs),
		PairsPerSecond: quantile(rates, 0.5), Lowest: rates[0], Highest: rates[len(rates)-1],
		AcquireP50: quantile(sorted(runs, func(s sample) time.Duration { return s.acquireP50 }), 0.5),
		AcquireP99: quantile(sorted(runs, func(s sample) time.Duration { return s.acquireP99 }), 0.5),
		ReleaseP50: quantile(sorted(runs, func(s sample) time.Duration { return s.releaseP50 }), 0.5),
		ReleaseP99: quantile(sorted(runs, func(s sample) time.Duration { return s.releaseP99 }), 0.5),
	}
}

func sorted[T float64 | time.Duration](runs []sample, of func(sample) T) []T {
	values := make([]T, 0, len(runs))
	for _, s := range runs {
		values = append(values, of(s))
	}
	slices.Sort(values)
	return values
}

// quantile of a sorted slice, by the nearest rank; 0 for an empty one.
func quantile[T float64 | time.Duration](values []T, q float64) T {
	if len(values) == 0 {
		return 0
	}
	return values[min(int(q*float64(len(values))), len(values)-1)]
}

// WriteTable prints results for people.
func WriteTable(out io.Writer, results []Result) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintln(w, "clients\tconnections\tpairs/s\tlowest\thighest\tacquire p50\tp99\trelease p50\tp99\t")
	for _, r := range results {
		_, _ = fmt.Fprintf(w, "%d\t%d\t%.0f\t%.0f\t%.0f\t%s\t%s\t%s\t%s\t\n", r.Clients, r.Connections,
			r.PairsPerSecond, r.Lowest, r.Highest, ms(r.AcquireP50), ms(r.AcquireP99), ms(r.ReleaseP50), ms(r.ReleaseP99))
	}
	return w.Flush()
}

func ms(d time.Duration) string { return fmt.Sprintf("%.2f ms", d.Seconds()*1e3) }
