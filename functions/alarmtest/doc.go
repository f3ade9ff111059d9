// Package alarmtest reproduces every alarm cause listed in docs/operations.md with the real
// functions, and checks that the alarm of template.yaml goes off. It fails for a row without a test
// case, a test case without a row, and an alarm without a row.
package alarmtest
