//! OpenFlow sessions with a real switch.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use controller::{
    compile::{Compiler, EncodedFlow, LocalSwitch, TunnelType},
    model::{Change, ChassisId, Object, ObjectKey, Record, Revision},
    reconcile::{Op, Plan, Touched, diff, repair},
    southbound::openflow::{
        ApplyError, DialAddr, Dump, ListenAddr, Listener, Session, SessionEnd, Switch, SwitchError,
        SwitchEvent, TlsFiles, open,
    },
};
use lab::{Daemon, Hypervisor, Lab, pki::Pki};
use openflow::{
    Action, Bucket, Config, Field, Flow, Group, GroupId, GroupType, Instruction, Match, SubField, TableId,
    message::PacketOut,
};
use packet::OfPort;
use tokio::{runtime::Runtime, time::timeout};

const PATIENCE: Duration = Duration::from_secs(20);

fn rig(prefix: &str) -> Result<(Lab, Hypervisor, Runtime)> {
    let lab = Lab::new(prefix)?;
    let hypervisor = lab.hypervisor("hv1")?;
    hypervisor.ensure_br_int()?;
    Ok((lab, hypervisor, Runtime::new()?))
}

async fn connect(hypervisor: &Hypervisor) -> Result<Session> {
    let addr = DialAddr::Unix(hypervisor.rundir().join("br-int.mgmt"));
    Ok(open(addr.connect().await?, &addr.to_string(), Config::default()).await?)
}

/// Two dual-stack networks, one tunnelled and one VLAN, a router with ECMP and blackhole routes, local and remote
/// ports: every kind of flow that the pipeline makes.
const CLOUD: &str = r#"[
    {"kind": "chassis", "spec": {"id": "hv1", "encap_ips": ["192.0.2.1"], "bridge_mappings": {"ex": "br-ex"}}},
    {"kind": "chassis", "spec": {"id": "hv2", "encap_ips": ["192.0.2.2"], "bridge_mappings": {"ex": "br-ex"}}},
    {"kind": "network", "spec": {"id": "web", "segment": {"type": "vxlan", "id": 4097}}},
    {"kind": "network", "spec": {"id": "db", "segment": {"type": "vlan", "physical_network": "ex", "id": 7}}},
    {"kind": "subnet", "spec": {"id": "web4", "network": "web", "cidr": "10.0.1.0/24", "gateway_ip": "10.0.1.1"}},
    {"kind": "subnet", "spec": {"id": "web6", "network": "web", "cidr": "2001:db8:1::/64", "gateway_ip": "2001:db8:1::1"}},
    {"kind": "subnet", "spec": {"id": "db4", "network": "db", "cidr": "10.0.2.0/24", "gateway_ip": "10.0.2.1"}},
    {"kind": "port", "spec": {"id": "w1", "network": "web", "mac": "02:00:00:00:01:01", "chassis": "hv1",
        "fixed_ips": [{"subnet": "web4", "ip": "10.0.1.11"}, {"subnet": "web6", "ip": "2001:db8:1::11"}],
        "allowed_address_pairs": [{"ip": "10.0.9.0/24"}, {"ip": "10.0.1.50", "mac": "02:00:00:00:01:50"}]}},
    {"kind": "port", "spec": {"id": "w2", "network": "web", "mac": "02:00:00:00:01:02", "chassis": "hv2",
        "fixed_ips": [{"subnet": "web4", "ip": "10.0.1.12"}, {"subnet": "web6", "ip": "2001:db8:1::12"}]}},
    {"kind": "port", "spec": {"id": "d1", "network": "db", "mac": "02:00:00:00:02:01", "chassis": "hv1",
        "fixed_ips": [{"subnet": "db4", "ip": "10.0.2.11"}], "port_security": false}},
    {"kind": "router", "spec": {"id": "r", "interfaces": [{"subnet": "web4"}, {"subnet": "web6"}, {"subnet": "db4"}],
        "routes": [{"destination": "192.168.0.0/16", "next_hops": ["10.0.1.11", "10.0.1.12"]},
                   {"destination": "2001:db8:9::/48", "next_hops": ["2001:db8:1::12"]}]}}
]"#;

fn compile(round: u16) -> Result<Compiler> {
    let objects: Vec<Object> = serde_json::from_str(CLOUD)?;
    let mut compiler = Compiler::new(round);
    let id: ChassisId = "hv1".parse()?;
    compiler.add_chassis(id.clone());
    let changes: Vec<Change> = (1..)
        .zip(objects)
        .map(|(key, spec)| {
            Change::Put(Record { key: ObjectKey(key), revision: Revision(u64::from(key)), spec })
        })
        .collect();
    compiler.apply(&changes);
    let local = LocalSwitch {
        ports: [("w1".parse()?, OfPort(1)), ("d1".parse()?, OfPort(2))].into(),
        tunnels: [(TunnelType::Vxlan, OfPort(10))].into(),
        patches: [("ex".parse()?, OfPort(11))].into(),
        ..LocalSwitch::default()
    };
    compiler.set_local(&id, local);
    compiler.poll();
    Ok(compiler)
}

/// What is left to do until a switch holds what the compiler wants.
fn plan(compiler: &Compiler, dump: &Dump) -> Result<Plan> {
    let desired = compiler.desired(&"hv1".parse()?).context("hv1 is served")?;
    Ok(diff(desired.flows(), desired.groups(), &desired.meters, dump.flows(), &dump.observed))
}

fn flow(cookie: u64, matching: Match, actions: Vec<Action>) -> Result<EncodedFlow> {
    let instructions = vec![Instruction::Apply(actions)];
    Ok(EncodedFlow::new(&Flow { table: TableId(20), priority: 7, cookie, matching, instructions })?)
}

/// Actions without effect that any packet may have.
fn note() -> Vec<Action> {
    vec![Action::RegLoad { dst: SubField::whole(Field::Reg(5)), value: 1 }]
}

/// `count` flows that do nothing to anybody.
fn many(count: u32) -> Result<Plan> {
    let put = |n: u32| Ok(Op::PutFlow(flow(n.into(), Match::new().with(Field::Reg(1), n), note())?));
    Ok(Plan { ops: (0..count).map(put).collect::<Result<_>>()?, ..Plan::default() })
}

fn plan_of(ops: Vec<Op>) -> Arc<Plan> {
    Arc::new(Plan { ops, ..Plan::default() })
}

/// Applies a plan; a refusal shows what was refused.
async fn apply(switch: &Switch, plan: Plan) -> Result<()> {
    let plan = Arc::new(plan);
    match switch.apply(&plan).await {
        Err(ApplyError::Refused(refusals)) => {
            for refusal in &refusals {
                if let Some(Op::PutFlow(flow)) = plan.ops.get(refusal.index) {
                    eprintln!("{}: {:?}", refusal.why, flow.raw().decode()?);
                }
            }
            anyhow::bail!("refused {refusals:?}")
        }
        other => {
            let meters = other?;
            ensure!(meters.is_empty(), "{meters:?}");
            Ok(())
        }
    }
}

async fn flow_count(switch: &Switch) -> Result<usize> {
    Ok(switch.dump().await?.flows().count())
}

/// The first event that `pick` takes.
async fn event<T>(session: &mut Session, pick: impl Fn(SwitchEvent) -> Option<T>) -> Result<T> {
    let wait = async {
        loop {
            match session.events.recv().await {
                Some(event) => match pick(event) {
                    Some(found) => return Ok(found),
                    None => continue,
                },
                None => anyhow::bail!("the session ended"),
            }
        }
    };
    timeout(PATIENCE, wait).await?
}

#[test]
fn what_is_written_is_read_back_byte_for_byte_by_the_next_session_too() -> Result<()> {
    let (_lab, hypervisor, runtime) = rig("ofback")?;
    runtime.block_on(async {
        let compiler = compile(1)?;
        let switch = connect(&hypervisor).await?.switch;
        switch.claim(1).await?;
        let first = plan(&compiler, &switch.dump().await?)?;
        ensure!(first.ops.len() > 50 && !first.put_meters.is_empty(), "{:?}", first.counts());
        apply(&switch, first).await?;

        let dump = switch.dump().await?;
        let desired = compiler.desired(&"hv1".parse()?).context("hv1 is served")?;
        let mut written: Vec<_> = desired.flows().map(|flow| format!("{:?}", flow.raw())).collect();
        let mut read: Vec<_> = dump.flows().map(|stats| format!("{:?}", stats.flow)).collect();
        written.sort();
        read.sort();
        for (written, read) in written.iter().zip(&read) {
            ensure!(written == read, "written {written}\nread    {read}");
        }
        ensure!(written.len() == read.len(), "{} written, {} read", written.len(), read.len());
        let rest = plan(&compiler, &dump)?;
        ensure!(rest.is_empty(), "after the plan was applied: {rest:?}");

        // A later controller: another session, another round in the cookies.
        drop(switch);
        let switch = connect(&hypervisor).await?.switch;
        let rest = plan(&compile(2)?, &switch.dump().await?)?;
        ensure!(rest.is_empty(), "after a restart: {rest:?}");
        Ok(())
    })
}

#[test]
fn a_refused_flow_discards_the_whole_bundle_and_is_named() -> Result<()> {
    let (_lab, hypervisor, runtime) = rig("ofrefuse")?;
    runtime.block_on(async {
        let session = connect(&hypervisor).await?;
        let switch = &session.switch;
        switch.claim(1).await?;
        let good = |n: u32| flow(1, Match::new().with(Field::Reg(1), n), note()).map(Op::PutFlow);
        // A TCP port without TCP: refused when it is added to the bundle.
        let bad_prerequisite = flow(2, Match::new().with(Field::TcpSrc, 80_u16), vec![])?;
        // A group that is not there: refused when the bundle is committed.
        let bad_group = flow(3, Match::new(), vec![Action::Group(GroupId(77))])?;
        for (bad, why) in [(bad_prerequisite, "PREREQ"), (bad_group, "GROUP")] {
            let plan = plan_of(vec![good(1)?, good(2)?, Op::PutFlow(bad), good(3)?]);
            let Err(ApplyError::Refused(refusals)) = switch.apply(&plan).await else {
                anyhow::bail!("a bundle with a bad flow was applied");
            };
            ensure!(refusals.len() == 1 && refusals[0].index == 2, "{refusals:?}");
            ensure!(refusals[0].why.to_string().contains(why), "{refusals:?}");
            ensure!(flow_count(switch).await? == 0, "half a bundle was applied");
        }
        // The session is as good as before.
        switch.apply(&plan_of(vec![good(1)?, good(2)?])).await?;
        ensure!(flow_count(switch).await? == 2);
        Ok(())
    })
}

#[test]
fn groups_come_with_the_flows_that_use_them() -> Result<()> {
    let (_lab, hypervisor, runtime) = rig("ofgroup")?;
    runtime.block_on(async {
        let switch = connect(&hypervisor).await?.switch;
        switch.claim(1).await?;
        let bucket = |port| Bucket { weight: 1, actions: vec![Action::output(OfPort(port))] };
        let group = |ports: &[u32]| Group {
            id: GroupId(5),
            kind: GroupType::Select,
            buckets: ports.iter().copied().map(bucket).collect(),
        };
        let user = flow(1, Match::new(), vec![Action::Group(GroupId(5))])?;
        for ports in [&[1, 2][..], &[2, 3, 4]] {
            let want = group(ports);
            switch.apply(&plan_of(vec![Op::PutGroup(want.clone()), Op::PutFlow(user.clone())])).await?;
            let dump = switch.dump().await?;
            ensure!(dump.observed.groups == [want.clone()], "{:?}", dump.observed.groups);
            let rest = diff([&user], [&want], &[], dump.flows(), &dump.observed);
            ensure!(rest.is_empty(), "{rest:?}");
        }
        let dump = switch.dump().await?;
        switch.apply(&Arc::new(diff([], [], &[], dump.flows(), &dump.observed))).await?;
        let dump = switch.dump().await?;
        ensure!(dump.flows().count() == 0 && dump.observed.groups.is_empty());
        Ok(())
    })
}

#[test]
fn a_switch_killed_within_a_bundle_ends_the_session_and_the_next_one_starts_over() -> Result<()> {
    let (_lab, hypervisor, runtime) = rig("ofkill")?;
    let plan = Arc::new(many(100_000)?);
    runtime.block_on(async {
        let session = connect(&hypervisor).await?;
        session.switch.claim(1).await?;
        let (switch, bundle) = (session.switch.clone(), Arc::clone(&plan));
        let applying = tokio::spawn(async move { switch.apply(&bundle).await });
        tokio::time::sleep(Duration::from_millis(100)).await;
        tokio::task::block_in_place(|| hypervisor.kill9(Daemon::Vswitchd))?;
        let verdict = timeout(PATIENCE, applying).await??;
        ensure!(matches!(verdict, Err(ApplyError::Switch(SwitchError::Closed))), "{verdict:?}");
        let end = timeout(PATIENCE, session.ended).await??;
        ensure!(matches!(end, SessionEnd::Peer | SessionEnd::Io(_)), "{end:?}");

        tokio::task::block_in_place(|| hypervisor.start(Daemon::Vswitchd))?;
        let switch = connect(&hypervisor).await?.switch;
        switch.claim(2).await?;
        ensure!(flow_count(&switch).await? == 0);
        switch.apply(&plan).await?;
        ensure!(flow_count(&switch).await? == 100_000);
        Ok(())
    })
}

#[test]
fn a_generation_that_lies_behind_is_raised_and_the_old_master_is_told() -> Result<()> {
    let (_lab, hypervisor, runtime) = rig("ofrole")?;
    runtime.block_on(async {
        let mut old = connect(&hypervisor).await?;
        ensure!(old.switch.claim(22).await? == 22);
        let new = connect(&hypervisor).await?;
        ensure!(new.switch.claim(1).await? == 23);
        let role = event(&mut old, |event| match event {
            SwitchEvent::Role(role) => Some(role),
            _ => None,
        });
        ensure!(role.await? == openflow::message::Role::Slave);
        let refused = old.switch.apply(&Arc::new(many(1)?)).await;
        ensure!(refused == Err(ApplyError::NotMaster), "{refused:?}");
        new.switch.apply(&Arc::new(many(1)?)).await?;
        Ok(())
    })
}

#[test]
fn what_others_do_to_flows_is_told_and_undone() -> Result<()> {
    let (_lab, hypervisor, runtime) = rig("ofdrift")?;
    runtime.block_on(async {
        let mut session = connect(&hypervisor).await?;
        session.switch.claim(1).await?;
        session.switch.monitor_flows().await?;
        let ours: Vec<EncodedFlow> = (1..=3)
            .map(|n| flow(n, Match::new().with(Field::Reg(1), u32::try_from(n)?), note()))
            .collect::<Result<_>>()?;
        session.switch.apply(&plan_of(ours.iter().cloned().map(Op::PutFlow).collect())).await?;
        for meddle in [
            &["del-flows", "--strict", "br-int", "table=20,priority=7,reg1=1"][..],
            &["mod-flows", "--strict", "br-int", "table=20,priority=7,reg1=2,actions=drop"],
            &[
                "add-flow",
                "br-int",
                "table=20,priority=7,reg1=3,cookie=9,idle_timeout=60,actions=load:1->NXM_NX_REG5[]",
            ],
            &["add-flow", "br-int", "table=21,priority=7,ip,nw_dst=10.0.0.0/8,actions=NORMAL"],
        ] {
            tokio::task::block_in_place(|| hypervisor.ovs_ofctl(meddle))?;
            // Our own changes are told too, but only that there were some.
            let touched = event(&mut session, |event| match event {
                SwitchEvent::Flows(updates) => {
                    let mut touched = Touched::default();
                    updates
                        .iter()
                        .all(|update| touched.note(update))
                        .then_some(touched)
                        .filter(|t| !t.is_empty())
                }
                _ => None,
            });
            let touched = touched.await.with_context(|| format!("{meddle:?}"))?;
            let plan = repair(&ours, &touched);
            ensure!(plan.ops.len() == 1, "{meddle:?} -> {plan:?}");
            session.switch.apply(&Arc::new(plan)).await?;
            let dump = session.switch.dump().await?;
            let rest = diff(&ours, [], &[], dump.flows(), &dump.observed);
            ensure!(rest.is_empty(), "{meddle:?} -> {rest:?}");
        }
        Ok(())
    })
}

#[test]
fn packets_come_in_with_registers_and_go_out() -> Result<()> {
    let (_lab, hypervisor, runtime) = rig("ofpacket")?;
    runtime.block_on(async {
        let mut session = connect(&hypervisor).await?;
        session.switch.claim(1).await?;
        let to_controller = Action::Controller(openflow::action::ControllerAction {
            max_len: 0xffff,
            controller_id: 0,
            reason: 1,
            userdata: vec![0xdf, 1, 2],
            pause: false,
            meter: None,
        });
        let actions =
            vec![Action::RegLoad { dst: SubField::whole(Field::Reg(4)), value: 0x1234 }, to_controller];
        let punt = Flow {
            table: TableId(0),
            priority: 1,
            cookie: 77,
            matching: Match::new(),
            instructions: vec![Instruction::Apply(actions)],
        };
        session.switch.apply(&plan_of(vec![Op::PutFlow(EncodedFlow::new(&punt)?)])).await?;
        let data = vec![0x5a; 1400];
        let sent = session.switch.packet_out(PacketOut {
            buffer_id: None,
            in_port: OfPort::LOCAL,
            // OFPP_TABLE: through the pipeline.
            actions: vec![Action::output(OfPort(0xffff_fff9))],
            data: data.clone(),
        });
        ensure!(sent);
        let packet = event(&mut session, |event| match event {
            SwitchEvent::PacketIn(packet) => Some(packet),
            _ => None,
        });
        let packet = packet.await?;
        ensure!(packet.data == data && packet.cookie == 77 && packet.userdata == [0xdf, 1, 2], "{packet:?}");
        let reg4 = packet.matching.get(Field::Reg(4)).map(|field| field.value);
        ensure!(reg4 == Some(0x1234), "{:?}", packet.matching);
        Ok(())
    })
}

#[test]
fn a_session_over_tls_needs_a_certificate_of_our_authority() -> Result<()> {
    let (lab, hypervisor, _) = rig("oftls")?;
    let pki = Pki::new(&lab.dir())?;
    let tls = TlsFiles {
        private_key: pki.path("controller.key"),
        certificate: pki.path("controller.pem"),
        ca_certificate: pki.path("ca.pem"),
    };
    let set_ssl = |name: &str| {
        let args = pki.set_ssl(name, "ca");
        hypervisor.ovs_vsctl(&args.each_ref().map(String::as_str))
    };
    hypervisor.netns().within(|| {
        tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
            let listener = Listener::bind(&"pssl:0:127.0.0.1".parse()?, Some(&tls)).await?;
            let ListenAddr::Ssl(at) = listener.local_addr() else { anyhow::bail!("not ssl") };

            set_ssl("stranger")?;
            hypervisor.ovs_vsctl(&["set-controller", "br-int", &format!("ssl:{at}")])?;
            let stranger = timeout(PATIENCE, listener.accept()).await??.open().await;
            ensure!(stranger.is_err(), "a certificate of another authority was accepted");

            set_ssl("switch")?;
            let stream = loop {
                // The last attempts of the stranger may still come.
                match timeout(PATIENCE, listener.accept()).await??.open().await {
                    Ok(stream) => break stream,
                    Err(_) => continue,
                }
            };
            let switch = open(stream, "switch", Config::default()).await?.switch;
            switch.claim(1).await?;
            switch.apply(&Arc::new(many(2000)?)).await?;
            ensure!(flow_count(&switch).await? == 2000);
            Ok(())
        })
    })
}
