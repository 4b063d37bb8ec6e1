//! The description of the API, generated from its types: `/v1/openapi.json`, and `docs/openapi.json` in the repository.

use super::{
    batch, objects,
    sources::TraceProtocol,
    states, status,
    types::{
        BatchAnswer, BatchRequest, DeleteRequest, Difference, Digest, ErrorBody, Fate, Hello, Listed,
        ObjectRef, PendingRef, States, Status, WatchLine, Written,
    },
    watch,
};
use crate::model::{
    AddressGroup, Chassis, FloatingIp, Kind, Network, Port, Record, Router, SecurityGroup, Subnet,
    topology::Topology,
};
use axum::{http::header, response::IntoResponse};
use utoipa::{
    IntoParams, OpenApi,
    openapi::{
        Content, ContentBuilder, HttpMethod, OpenApi as Document, PathItem, Ref, Required, ResponseBuilder,
        path::{Operation, OperationBuilder, Parameter, ParameterBuilder, ParameterIn},
        request_body::RequestBodyBuilder,
    },
};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Dragonflow",
        description = "Networks, subnets, ports and routers, and the switches that carry them. Every error has a body `ErrorBody`.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    paths(
        objects::apply,
        objects::delete_batch,
        batch::batch,
        batch::digest,
        batch::hello,
        states::states,
        watch::watch,
        status::status,
        status::trace,
        status::flows,
        status::healthz,
        status::metrics,
    ),
    components(schemas(
        Chassis, Network, Subnet, Port, Router, FloatingIp, SecurityGroup, AddressGroup, Topology,
        Record<Chassis>, Record<Network>, Record<Subnet>, Record<Port>, Record<Router>, Record<FloatingIp>,
        Record<SecurityGroup>, Record<AddressGroup>, Listed<Chassis>, Listed<Network>, Listed<Subnet>,
        Listed<Port>, Listed<Router>, Listed<FloatingIp>, Listed<SecurityGroup>, Listed<AddressGroup>,
        BatchAnswer, BatchRequest, Digest, Hello, States, DeleteRequest, Difference, ErrorBody, Fate, ObjectRef, PendingRef, Status,
        TraceProtocol, WatchLine, Written,
    ))
)]
struct Described;

/// The whole document.
pub fn document() -> Document {
    let mut document = Described::openapi();
    for kind in Kind::ALL {
        let list = format!("/v1/{}", kind.plural());
        document.paths.paths.insert(list.clone(), PathItem::new(HttpMethod::Get, list_operation(kind)));
        let mut object = PathItem::new(HttpMethod::Get, get_operation(kind));
        object.put = Some(put_operation(kind));
        object.delete = Some(delete_operation(kind));
        document.paths.paths.insert(format!("{list}/{{id}}"), object);
    }
    document
}

pub(super) async fn serve() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], text())
}

/// As committed: indented, ending with a newline.
pub(super) fn text() -> String {
    // The document is of text keys only: serde_json takes it.
    document().to_pretty_json().unwrap_or_default() + "\n"
}

fn schema(kind: Kind) -> &'static str {
    match kind {
        Kind::Chassis => "Chassis",
        Kind::Network => "Network",
        Kind::Subnet => "Subnet",
        Kind::Port => "Port",
        Kind::Router => "Router",
        Kind::FloatingIp => "FloatingIp",
        Kind::SecurityGroup => "SecurityGroup",
        Kind::AddressGroup => "AddressGroup",
    }
}

fn json(schema: &str) -> Content {
    ContentBuilder::new().schema(Some(Ref::from_schema_name(schema))).build()
}

fn operation(kind: Kind, verb: &str, summary: String) -> OperationBuilder {
    let id = format!("{verb}_{}", if verb == "list" { kind.plural() } else { kind.name() });
    OperationBuilder::new().tag(kind.plural()).operation_id(Some(id)).summary(Some(summary))
}

fn answer(operation: OperationBuilder, status: &str, text: &str, schema: &str) -> OperationBuilder {
    let response = ResponseBuilder::new().description(text).content("application/json", json(schema));
    operation.response(status, response.build())
}

fn id_parameter(kind: Kind) -> Parameter {
    ParameterBuilder::new()
        .name("id")
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .description(Some(format!("The {kind}")))
        .schema(Some(Ref::from_schema_name(format!("{}Id", schema(kind)))))
        .build()
}

fn list_operation(kind: Kind) -> Operation {
    let list = operation(kind, "list", format!("The {} there are, in order of id", kind.plural()));
    let list = list.parameters(Some(objects::ListQuery::into_params(|| None)));
    answer(list, "200", "The list", &format!("Listed_{}", schema(kind))).build()
}

fn get_operation(kind: Kind) -> Operation {
    let get = operation(kind, "get", format!("One {kind}")).parameter(id_parameter(kind));
    let get = answer(get, "200", "It", &format!("Record_{}", schema(kind)));
    answer(get, "404", "There is none", "ErrorBody").build()
}

fn put_operation(kind: Kind) -> Operation {
    let body = RequestBodyBuilder::new()
        .description(Some("The object; `id` may be left out"))
        .content("application/json", json(schema(kind)))
        .required(Some(Required::True));
    let put = operation(kind, "put", format!("Makes a {kind} so; the same again changes nothing"));
    let put = put.parameter(id_parameter(kind)).request_body(Some(body.build()));
    let put = answer(put, "200", "It was there", "Written");
    let put = answer(put, "201", "It was not there before", "Written");
    let put = answer(put, "400", "Not JSON, an unknown field or a bad value", "ErrorBody");
    let put = answer(put, "422", "The model would break a rule", "ErrorBody");
    answer(put, "507", "The disk is full; nothing was changed", "ErrorBody").build()
}

fn delete_operation(kind: Kind) -> Operation {
    let delete = operation(kind, "delete", format!("Deletes a {kind}")).parameter(id_parameter(kind));
    let delete = delete.parameters(Some(objects::DeleteQuery::into_params(|| None)));
    let delete = answer(delete, "200", "It is gone", "Written");
    let delete = answer(delete, "404", "There is none", "ErrorBody");
    answer(delete, "409", "Others refer to it", "ErrorBody").build()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_committed_document_is_current() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/openapi.json");
        let committed = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            committed == super::text(),
            "docs/openapi.json is out of date: run `cargo run -p controller -- openapi > docs/openapi.json`"
        );
    }

    /// Generated references must lead somewhere.
    #[test]
    fn every_reference_resolves() {
        let document: serde_json::Value = serde_json::from_str(&super::text()).unwrap();
        let mut waiting = vec![&document];
        let mut references = 0;
        while let Some(value) = waiting.pop() {
            match value {
                serde_json::Value::Object(map) => {
                    if let Some(target) = map.get("$ref").and_then(|target| target.as_str()) {
                        references += 1;
                        assert!(document.pointer(target.trim_start_matches('#')).is_some(), "{target}");
                    }
                    waiting.extend(map.values());
                }
                serde_json::Value::Array(list) => waiting.extend(list),
                _ => {}
            }
        }
        assert!(references > 50, "{references} references");
    }
}
