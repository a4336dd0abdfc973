//go:build !linux

package orchestrate

import (
	"os/exec"
	"strconv"
	"syscall"
)

func ownGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

func descendants(int) []int { return nil }

func stageProcesses(string) []int { return nil }

func parent(int) int { return 0 }

func sameProgram(int) bool { return true }

func startedAt(pid int) (string, bool) {
	return strconv.Itoa(pid), syscall.Kill(pid, 0) == nil
}
