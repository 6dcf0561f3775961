// Package runbook finds sections of the documentation of this version, for the console.
package runbook

import (
	"regexp"
	"strings"

	"clientele/cmd/internal/inspect"
	"clientele/deploy"
)

// Path returns the path of the page with the section of the documentation that a finding names, or "".
func Path(f inspect.Finding) string {
	_, anchor, ok := strings.Cut(f.See, "#")
	if !ok {
		return ""
	}
	return "/runbooks/" + anchor
}

// Block is a paragraph, the items of a list, or code, of the documentation.
type Block struct {
	Code  string
	Items []string
	Text  string
}

// Section returns the heading and the content of the section of deploy/README.md with this anchor, without those below it.
func Section(anchor string) (heading string, blocks []Block) {
	fenced, inside := false, false
	var lines []string
	for line := range strings.SplitSeq(deploy.README, "\n") {
		if strings.HasPrefix(line, "```") {
			fenced = !fenced
		}
		if title := strings.TrimLeft(line, "#"); !fenced && title != line {
			if inside {
				break
			}
			if title = strings.TrimSpace(title); anchorOf(title) == anchor {
				heading, inside = title, true
			}
			continue
		}
		if inside {
			lines = append(lines, line)
		}
	}
	return heading, blocksOf(strings.Join(lines, "\n"))
}

var notInAnchors = regexp.MustCompile(`[^a-z0-9 _-]`)

// anchorOf returns the anchor of a heading.
func anchorOf(heading string) string {
	return strings.ReplaceAll(notInAnchors.ReplaceAllString(strings.ToLower(heading), ""), " ", "-")
}

// blocksOf splits Markdown into blocks.
func blocksOf(text string) (blocks []Block) {
	for i, part := range strings.Split("\n"+text, "\n```") {
		if i%2 == 1 { // a fence, with the name of its language
			_, code, _ := strings.Cut(part, "\n")
			blocks = append(blocks, Block{Code: code})
			continue
		}
		for paragraph := range strings.SplitSeq(part, "\n\n") {
			items := strings.Split("\n"+strings.Trim(paragraph, "\n"), "\n- ")
			switch first := plain(items[0]); {
			case strings.HasPrefix(first, "|"):
				blocks = append(blocks, Block{Code: strings.TrimSpace(items[0])})
			case first != "":
				blocks = append(blocks, Block{Text: first})
			}
			if len(items) > 1 {
				list := Block{}
				for _, item := range items[1:] {
					list.Items = append(list.Items, plain(item))
				}
				blocks = append(blocks, list)
			}
		}
	}
	return blocks
}

var (
	links = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)
	marks = regexp.MustCompile("[`*]")
)

// plain returns the text of Markdown on one line, without links and marks.
func plain(markdown string) string {
	return marks.ReplaceAllString(links.ReplaceAllString(strings.Join(strings.Fields(markdown), " "), "$1"), "")
}
