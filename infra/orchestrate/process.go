package orchestrate

import "syscall"

func interrupt(pid int) { _ = syscall.Kill(pid, syscall.SIGINT) }

func killPID(pid int) { _ = syscall.Kill(pid, syscall.SIGKILL) }
