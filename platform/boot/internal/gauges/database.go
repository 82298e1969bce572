// Package gauges measures what every process has: the connections to its database, and the HTTP it answers.
package gauges

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/concord-suite/concord/platform/sqldb"
)

// Database measures the connections to db.
func Database(meter metric.Meter, db *sqldb.DB) error {
	var failed error
	gauge := func(name, unit, about string) metric.Int64ObservableGauge {
		g, err := meter.Int64ObservableGauge(name, metric.WithUnit(unit), metric.WithDescription(about))
		if err != nil {
			failed = err
		}
		return g
	}
	connections := gauge("concord.database.connections", "{connection}", "Connections of the pool, by state.")
	limit := gauge("concord.database.connections.max", "{connection}", "The most connections of the pool.")
	waits, err := meter.Int64ObservableCounter("concord.database.connections.waits", metric.WithDescription("How often somebody waited for a free connection."))
	if err != nil {
		return err
	}
	if failed != nil {
		return failed
	}
	_, err = meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		stats := db.Stats()
		o.ObserveInt64(connections, int64(stats.InUse), metric.WithAttributes(attribute.String("state", "used")))
		o.ObserveInt64(connections, int64(stats.Idle), metric.WithAttributes(attribute.String("state", "idle")))
		o.ObserveInt64(limit, int64(stats.Max))
		o.ObserveInt64(waits, stats.Waits)
		return nil
	}, connections, limit, waits)
	return err
}
