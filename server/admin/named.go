package admin

import (
	"bytes"
	"net/http"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/common/expfmt"
)

// textFormat is what the servlet that Apache ZooKeeper uses answers, whatever it is asked for.
const textFormat = "text/plain; version=0.0.4; charset=utf-8"

// maxFormBytes bounds the names in the body of a POST.
const maxFormBytes = 64 << 10

// metricsPage shows all metrics, or, where the parameter name[] occurs, those samples alone that have one of its values for
// a name: fsynctime_sum is another name than fsynctime (io.prometheus.client.exporter.MetricsServlet). A filter of the
// library's own names families of samples instead.
func metricsPage(registry prometheus.Gatherer) http.Handler {
	all := promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxFormBytes)
		if err := r.ParseForm(); err != nil {
			http.Error(w, "the parameters cannot be read: "+err.Error(), http.StatusBadRequest)
			return
		}
		names, named := r.Form["name[]"]
		if !named {
			all.ServeHTTP(w, r)
			return
		}
		text, err := samplesNamed(registry, names)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", textFormat)
		w.Write(text)
	})
}

// samplesNamed are the samples with these names, behind the comments on each family that has some.
func samplesNamed(registry prometheus.Gatherer, names []string) ([]byte, error) {
	families, err := registry.Gather()
	if err != nil {
		return nil, err
	}
	var text, all bytes.Buffer
	encoder := expfmt.NewEncoder(&all, expfmt.NewFormat(expfmt.TypeTextPlain))
	for _, family := range families {
		all.Reset()
		if err := encoder.Encode(family); err != nil {
			return nil, err
		}
		var comments []byte
		for line := range bytes.Lines(all.Bytes()) {
			switch {
			case line[0] == '#':
				comments = append(comments, line...)
			case slices.Contains(names, sampleName(line)):
				text.Write(comments)
				text.Write(line)
				comments = nil
			}
		}
	}
	return text.Bytes(), nil
}

// sampleName is what a line begins with.
func sampleName(line []byte) string {
	return string(line[:bytes.IndexAny(line, "{ ")])
}
