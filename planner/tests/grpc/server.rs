use everynode_proto::planner::v1::{PlanRequest, SessionRequest, planner_service_server::SERVICE_NAME};
use tokio_stream::StreamExt;
use tonic::{Code, Streaming, transport::Channel};
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse, health_check_response::ServingStatus,
    health_client::HealthClient,
};
use tonic_reflection::pb::{v1, v1alpha};

use super::{Server, objects::daemon_set, objects::raw_struct, soon};

#[tokio::test]
async fn health_is_serving_once_the_planner_is_ready() {
    let server = Server::start().await;
    let mut health = HealthClient::new(server.connect().await);
    let mut check = async |service: &str| {
        let request = HealthCheckRequest {
            service: service.to_owned(),
        };
        soon(health.check(request))
            .await
            .map(|response| response.into_inner().status())
    };
    for service in ["", SERVICE_NAME] {
        assert_eq!(
            check(service).await.unwrap(),
            ServingStatus::NotServing,
            "{service}"
        );
    }
    server.health.set_serving(true).await;
    for service in ["", SERVICE_NAME] {
        assert_eq!(check(service).await.unwrap(), ServingStatus::Serving, "{service}");
    }
    assert_eq!(check("unheard.of").await.unwrap_err().code(), Code::NotFound);
    server.health.set_serving(false).await;
    assert_eq!(check("").await.unwrap(), ServingStatus::NotServing);
}

/// Opens a watch of the planner's health. Returns it with the client that it belongs to.
async fn watch_health(server: &Server) -> (Streaming<HealthCheckResponse>, HealthClient<Channel>) {
    let mut client = HealthClient::new(server.connect().await);
    let request = HealthCheckRequest {
        service: SERVICE_NAME.to_owned(),
    };
    let watch = soon(client.watch(request)).await.unwrap().into_inner();
    (watch, client)
}

#[tokio::test]
async fn health_can_be_watched() {
    let server = Server::start().await;
    let (mut watch, _client) = watch_health(&server).await;
    assert_eq!(
        soon(watch.message()).await.unwrap().unwrap().status(),
        ServingStatus::NotServing
    );
    server.health.set_serving(true).await;
    assert_eq!(
        soon(watch.message()).await.unwrap().unwrap().status(),
        ServingStatus::Serving
    );
}

/// Asserts that reflection lists the planner's service, health, and this version of itself.
#[track_caller]
fn check_services(listed: &[&str], reflection: &str) {
    for service in [
        "everynode.planner.v1.PlannerService",
        "grpc.health.v1.Health",
        reflection,
    ] {
        assert!(listed.contains(&service), "{service} isn't in {listed:?}");
    }
}

#[tokio::test]
async fn reflection_v1_lists_the_services() {
    use v1::server_reflection_response::MessageResponse;
    use v1::{server_reflection_client::ServerReflectionClient, server_reflection_request::MessageRequest};
    let server = Server::start().await;
    let mut client = ServerReflectionClient::new(server.connect().await);
    let request = |request| v1::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(request),
    };
    let requests = [
        request(MessageRequest::ListServices(String::new())),
        request(MessageRequest::FileContainingSymbol(
            "everynode.planner.v1.NodeVerdict".to_owned(),
        )),
    ];
    let mut answers = soon(client.server_reflection_info(tokio_stream::iter(requests)))
        .await
        .unwrap()
        .into_inner();
    let Some(MessageResponse::ListServicesResponse(list)) =
        soon(answers.message()).await.unwrap().unwrap().message_response
    else {
        panic!("a list was expected")
    };
    let names: Vec<_> = list.service.iter().map(|service| service.name.as_str()).collect();
    check_services(&names, "grpc.reflection.v1.ServerReflection");
    let file = soon(answers.message()).await.unwrap().unwrap().message_response;
    assert!(
        matches!(file, Some(MessageResponse::FileDescriptorResponse(_))),
        "{file:?}"
    );
}

#[tokio::test]
async fn reflection_v1alpha_lists_the_services_for_older_clients() {
    use v1alpha::server_reflection_response::MessageResponse;
    use v1alpha::{
        server_reflection_client::ServerReflectionClient, server_reflection_request::MessageRequest,
    };
    let server = Server::start().await;
    let mut client = ServerReflectionClient::new(server.connect().await);
    let request = v1alpha::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut answers = soon(client.server_reflection_info(tokio_stream::once(request)))
        .await
        .unwrap()
        .into_inner();
    let Some(MessageResponse::ListServicesResponse(list)) =
        soon(answers.message()).await.unwrap().unwrap().message_response
    else {
        panic!("a list was expected")
    };
    let names: Vec<_> = list.service.iter().map(|service| service.name.as_str()).collect();
    check_services(&names, "grpc.reflection.v1alpha.ServerReflection");
}

/// A text that exceeds the message size limit.
fn oversized() -> String {
    "x".repeat(64 * 1024 * 1024 + 1)
}

#[tokio::test]
async fn oversized_message_is_resource_exhausted() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let request = PlanRequest {
        update_revision: Some(oversized()),
        ..PlanRequest::default()
    };
    let status = soon(client.plan(request)).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
    let mut small = PlanRequest {
        daemon_set: Some(raw_struct(&daemon_set("agent"))),
        ..PlanRequest::default()
    };
    small.update_revision = Some("x".repeat(8 * 1024 * 1024));
    soon(client.plan(small))
        .await
        .expect("more than tonic's usual 4 MiB are taken");
}

#[tokio::test]
async fn oversized_session_message_is_resource_exhausted() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let mut request = SessionRequest {
        sequence: 1,
        ..SessionRequest::default()
    };
    request.hello = Some(everynode_proto::planner::v1::Hello {
        cluster: oversized(),
        ..Default::default()
    });
    let requests = tokio_stream::once(request).chain(tokio_stream::pending());
    let status = soon(client.session(requests)).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
}

#[tokio::test]
async fn health_watch_reports_shutdown_and_does_not_delay_it() {
    let server = Server::start().await;
    server.health.set_serving(true).await;
    let (mut watch, _client) = watch_health(&server).await;
    assert_eq!(
        soon(watch.message()).await.unwrap().unwrap().status(),
        ServingStatus::Serving
    );
    server.health.set_serving(false).await;
    server.shutdown.cancel();
    assert_eq!(
        soon(watch.message()).await.unwrap().unwrap().status(),
        ServingStatus::NotServing
    );
    let end = soon(watch.message()).await.unwrap_err();
    assert_eq!(end.code(), Code::Unavailable, "{end}");
    // The client is still connected.
    soon(server.served).await.unwrap().unwrap();
}
