<#
.SYNOPSIS
  Installs, removes or restarts Stanchion as a Windows service.

.DESCRIPTION
  The executable is a console program. It does not speak the protocol of the service manager, so that a service made with
  New-Service or "sc.exe create" alone would be ended after 30 seconds with error 1053. This script therefore puts it under
  one of two things that do:

    1. NSSM (https://nssm.cc), if -Nssm names its executable or it is on the PATH. Stopping the service sends Ctrl-C, which
       ends the server in good order.
    2. Otherwise a task of the Task Scheduler that starts with the machine, as SYSTEM, and is started again when it ends.
       Stopping it ends the process at once. Nothing that was acknowledged is lost: it is on disk.

  This script has been written from the documentation of these tools and has not been run on a Windows machine by its
  authors. Read it before you run it, and try it on a machine that you can lose.

  There are no signals on Windows:
    - a changed configuration file takes a restart:  .\install-service.ps1 -Action Restart
    - the log is not re-opened; it is rotated by size: put "logfile_size_limit: 100MB" into the file

.PARAMETER Executable
  Path of stanchion.exe.
.PARAMETER Config
  Configuration file. It should name a log_file: a service has no window.
.PARAMETER Name
  Name of the service; the default is that of the original, so that scripts go on working.
.PARAMETER Nssm
  Path of nssm.exe.
.PARAMETER Action
  Install (default), Remove, Restart or Check. Check runs "stanchion -t" on the file and changes nothing.

.EXAMPLE
  .\install-service.ps1 -Executable C:\stanchion\stanchion.exe -Config C:\stanchion\stanchion.conf
#>
[CmdletBinding()]
param(
  [string]$Executable = "$PSScriptRoot\stanchion.exe",
  [string]$Config = "$PSScriptRoot\stanchion.conf",
  [string]$Name = "nats-streaming-server",
  [string]$Nssm = "",
  [ValidateSet("Install", "Remove", "Restart", "Check")]
  [string]$Action = "Install"
)

Set-StrictMode -Version Latest
$ErrorActionPreference = "Stop"

# The time that an orderly end may take, plus some for the wrapper itself.
$StopMilliseconds = 35000

function Assert-Administrator {
  $identity = [Security.Principal.WindowsIdentity]::GetCurrent()
  $principal = New-Object Security.Principal.WindowsPrincipal($identity)
  if (-not $principal.IsInRole([Security.Principal.WindowsBuiltInRole]::Administrator)) {
    throw "Services are installed by administrators: start PowerShell with 'Run as administrator'."
  }
}

function Find-Nssm {
  if ($Nssm -ne "") {
    if (-not (Test-Path -LiteralPath $Nssm -PathType Leaf)) { throw "There is no file $Nssm." }
    return $Nssm
  }
  $found = Get-Command "nssm.exe" -ErrorAction SilentlyContinue
  if ($null -eq $found) { return "" }
  return $found.Source
}

function Invoke-Program([string]$Path, [string[]]$Arguments) {
  & $Path @Arguments
  if ($LASTEXITCODE -ne 0) { throw "$Path $($Arguments -join ' ') ended with status $LASTEXITCODE." }
}

# A service that cannot start is found out here, where somebody sees the reason.
function Test-Config {
  if (-not (Test-Path -LiteralPath $Executable -PathType Leaf)) { throw "There is no file $Executable." }
  if (-not (Test-Path -LiteralPath $Config -PathType Leaf)) { throw "There is no file $Config." }
  Invoke-Program $Executable @("-t", "-c", $Config)
}

function Install-WithNssm([string]$Tool) {
  Invoke-Program $Tool @("install", $Name, $Executable, "-c", "`"$Config`"")
  Invoke-Program $Tool @("set", $Name, "AppDirectory", (Split-Path -Parent $Executable))
  Invoke-Program $Tool @("set", $Name, "DisplayName", "Stanchion ($Name)")
  Invoke-Program $Tool @("set", $Name, "Start", "SERVICE_AUTO_START")
  Invoke-Program $Tool @("set", $Name, "AppStopMethodConsole", "$StopMilliseconds")
  Invoke-Program $Tool @("set", $Name, "AppExit", "Default", "Restart")
  # Stopped on purpose: not a failure.
  Invoke-Program $Tool @("set", $Name, "AppExit", "0", "Exit")
  Start-Service -Name $Name
}

function Install-AsTask {
  Write-Warning "nssm.exe was not found: a task of the Task Scheduler is made instead. Stopping it ends the server at once."
  $do = New-ScheduledTaskAction -Execute $Executable -Argument "-c `"$Config`"" -WorkingDirectory (Split-Path -Parent $Executable)
  $when = New-ScheduledTaskTrigger -AtStartup
  $who = New-ScheduledTaskPrincipal -UserId "SYSTEM" -LogonType ServiceAccount
  $how = New-ScheduledTaskSettingsSet -ExecutionTimeLimit ([TimeSpan]::Zero) -RestartCount 999 -RestartInterval (New-TimeSpan -Minutes 1) -StartWhenAvailable -AllowStartIfOnBatteries -DontStopIfGoingOnBatteries
  Register-ScheduledTask -TaskName $Name -Action $do -Trigger $when -Principal $who -Settings $how | Out-Null
  Start-ScheduledTask -TaskName $Name
}

function Test-IsTask {
  return $null -ne (Get-ScheduledTask -TaskName $Name -ErrorAction SilentlyContinue)
}

switch ($Action) {
  "Check" {
    Test-Config
  }
  "Install" {
    Assert-Administrator
    Test-Config
    $tool = Find-Nssm
    if ($tool -ne "") { Install-WithNssm $tool } else { Install-AsTask }
    Write-Output "$Name is installed and started."
  }
  "Restart" {
    Assert-Administrator
    Test-Config
    if (Test-IsTask) {
      Stop-ScheduledTask -TaskName $Name
      Start-ScheduledTask -TaskName $Name
    } else {
      Restart-Service -Name $Name
    }
    Write-Output "$Name is restarted."
  }
  "Remove" {
    Assert-Administrator
    if (Test-IsTask) {
      Stop-ScheduledTask -TaskName $Name
      Unregister-ScheduledTask -TaskName $Name -Confirm:$false
    } else {
      Stop-Service -Name $Name -ErrorAction SilentlyContinue
      $tool = Find-Nssm
      if ($tool -ne "") { Invoke-Program $tool @("remove", $Name, "confirm") } else { Invoke-Program "sc.exe" @("delete", $Name) }
    }
    Write-Output "$Name is removed. The directory of its store was left alone."
  }
}
