//! `dragonflow trace`.

use crate::{cloud::Cloud, scenarios};
use controller::trace::{TraceRequest, trace};

fn lines(cloud: &Cloud, from: &str, to: &str) -> String {
    let request = TraceRequest::echo(from.parse().unwrap(), to.parse().unwrap());
    trace(&cloud.compiler, &request).unwrap().to_string()
}

#[test]
fn show() {
    let cloud = Cloud::new(scenarios::ROUTED);
    for to in ["10.0.0.12", "10.0.1.12", "2001:db8:1::11", "10.0.1.1", "10.0.1.99", "9.9.9.9"] {
        println!("{}\n", lines(&cloud, "web-1", to));
    }
    let mut request = TraceRequest::echo("web-1".parse().unwrap(), "10.0.1.12".parse().unwrap());
    request.ttl = Some(1);
    println!("{}\n", trace(&cloud.compiler, &request).unwrap());
    request.protocol = controller::trace::Protocol::Arp;
    request.to = "10.0.0.77".parse().unwrap();
    println!("{}\n", trace(&cloud.compiler, &request).unwrap());
    request.to = "10.0.0.12".parse().unwrap();
    println!("{}\n", trace(&cloud.compiler, &request).unwrap());
}
