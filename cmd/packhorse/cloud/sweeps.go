package cloud

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"

	"packhorse/internal/doctor"
	"packhorse/internal/tenant"
)

// What the poll function logs at the end of a tick; the second follows the first if the tick failed.
const (
	tickEnded  = "the tick has ended"
	tickFailed = "the tick had failures; the failed work is due again"
)

// sweepsWithin is how far back the log is read.
const sweepsWithin = time.Hour

// sweeps reads how well sweeps work from the poll function's log.
func (c *Cloud) sweeps(ctx context.Context) ([]doctor.StackSweep, error) {
	pages := cloudwatchlogs.NewFilterLogEventsPaginator(c.logs, &cloudwatchlogs.FilterLogEventsInput{
		LogGroupName: &c.want.PollLogs, FilterPattern: aws.String(`"the tick"`),
		StartTime: aws.Int64(c.now().Add(-sweepsWithin).UnixMilli()),
	})
	var lines []types.FilteredLogEvent
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, seen(err, "logs:FilterLogEvents", "the log group "+c.want.PollLogs)
		}
		lines = append(lines, page.Events...)
	}
	return []doctor.StackSweep{{Tenant: c.want.Tenant, Health: healthOf(lines)}}, nil
}

// healthOf plays the ends of ticks, oldest first.
func healthOf(lines []types.FilteredLogEvent) tenant.Health {
	var before, health tenant.Health // before the last tick that ended, and after it
	for _, line := range lines {
		text := aws.ToString(line.Message)
		at := time.UnixMilli(aws.ToInt64(line.Timestamp))
		switch {
		case strings.Contains(text, tickEnded):
			before, health = health, health.Succeeded(at)
		case strings.Contains(text, tickFailed):
			health = before.Failed(at, errorIn(text))
		}
	}
	return health
}

// errorIn returns the error that a line of the log names. Lambda's own format is JSON; a function that runs
// elsewhere writes key=value.
func errorIn(line string) string {
	var entry struct{ Error string }
	if json.Unmarshal([]byte(line), &entry) == nil {
		return entry.Error
	}
	_, rest, _ := strings.Cut(line, " error=")
	quoted, err := strconv.QuotedPrefix(rest)
	if err != nil {
		first, _, _ := strings.Cut(rest, " ")
		return first
	}
	text, _ := strconv.Unquote(quoted)
	return text
}
