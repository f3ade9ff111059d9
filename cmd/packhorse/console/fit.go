package console

import "strings"

// Fit breaks running text at words to fit a terminal of width columns. The text was written for LineMax columns:
// a line so full that the next word would not have fit continues in the next line. A description beside a word,
// behind two spaces or more, continues below its own beginning. A line that a person would copy, such as a
// command, is left as it is. Width 0 means no limit.
func Fit(text string, width int) string {
	if width <= 0 || width >= LineMax {
		return text
	}
	var out strings.Builder
	lines := strings.Split(text, "\n")
	for i := 0; i < len(lines); i++ {
		line := lines[i]
		if measure.StringWidth(line) <= width && !continues(lines, i) {
			out.WriteString(line)
		} else if isCommand(line) {
			out.WriteString(line)
		} else {
			hang := hangOf(line, width)
			first := line[:hang]
			words := line[hang:]
			for ; continues(lines, i); i++ {
				words += " " + lines[i+1]
			}
			out.WriteString(FillTo(width, words, first, strings.Repeat(" ", measure.StringWidth(first))))
		}
		if i < len(lines)-1 {
			out.WriteByte('\n')
		}
	}
	return out.String()
}

// fullMin is how many columns a line and the first word of the next one take if the text was broken between
// them only because of its width. Texts are not always broken at the last possible word.
const fullMin = LineMax - 4

// continues reports whether line i of the lines goes on in the next one.
func continues(lines []string, i int) bool {
	if i+1 >= len(lines) || isCommand(lines[i]) || strings.TrimSpace(lines[i]) == "" {
		return false
	}
	next := strings.TrimLeft(lines[i+1], " ")
	word, _, _ := strings.Cut(next, " ")
	indent := len(lines[i+1]) - len(next)
	return next != "" && (indent == indentOf(lines[i]) || indent == hangOf(lines[i], LineMax)) &&
		measure.StringWidth(lines[i])+1+measure.StringWidth(word) >= fullMin
}

func indentOf(line string) int { return len(line) - len(strings.TrimLeft(line, " ")) }

// hangOf returns where the text of a line begins: behind its last gap of two spaces or more, if that leaves
// enough of the width, otherwise behind its indentation.
func hangOf(line string, width int) int {
	indent := indentOf(line)
	gap := strings.LastIndex(strings.TrimRight(line, " "), "  ")
	if gap >= indent && measure.StringWidth(line[:gap+2]) <= width*2/3 {
		return gap + 2
	}
	return indent
}

// isCommand reports whether a line is an indented command without a description.
func isCommand(line string) bool {
	text := strings.TrimLeft(line, " ")
	indented := text != line && !strings.Contains(text, "  ")
	return indented && (strings.HasPrefix(text, "packhorse ") || strings.HasPrefix(text, "$ "))
}
