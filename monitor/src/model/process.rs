/// The process that holds an end of a connection, as far as it could be found out. Nothing here is guessed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Process {
    /// Its id, as the initial pid namespace names it.
    pub pid: u32,
    /// Its command name (`/proc/PID/comm`), at most 15 bytes.
    pub command: Box<str>,
    /// Its container's id, where its cgroup names one.
    pub container: Option<Box<str>>,
    /// Its systemd unit, where its cgroup names one.
    pub unit: Option<Box<str>>,
}
