//! Health and reflection.

use everynode_proto::executor::v1::executor_service_server::SERVICE_NAME;
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tonic_reflection::pb::{v1, v1alpha};

use super::*;

#[tokio::test(start_paused = true)]
async fn health_is_serving_from_the_first_listing_until_shutdown() {
    let view = LiveViewRig::new(rig()).await;
    let mut health = HealthClient::new(view.channel.clone());
    for service in ["", SERVICE_NAME] {
        let request = HealthCheckRequest {
            service: service.to_owned(),
        };
        let answer = soon(health.check(request)).await.unwrap().into_inner();
        assert_eq!(answer.status(), ServingStatus::NotServing, "{service}");
    }
    let request = HealthCheckRequest {
        service: SERVICE_NAME.to_owned(),
    };
    let mut watch = soon(health.watch(request)).await.unwrap().into_inner();
    let mut next = async || soon(watch.message()).await.unwrap().unwrap().status();
    assert_eq!(next().await, ServingStatus::NotServing);
    view.rig
        .list(agent(), &["n1"], &[], &[revision_json("r1", 1)])
        .await;
    assert_eq!(next().await, ServingStatus::Serving);
    view.stop.cancel();
    assert_eq!(next().await, ServingStatus::NotServing);
}

#[tokio::test(start_paused = true)]
async fn reflection_serves_v1_and_v1alpha_clients() {
    let view = LiveViewRig::new(rig()).await;
    let request = v1::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(
            v1::server_reflection_request::MessageRequest::FileContainingSymbol(SERVICE_NAME.to_owned()),
        ),
    };
    let mut client = v1::server_reflection_client::ServerReflectionClient::new(view.channel.clone());
    let answers = soon(client.server_reflection_info(tokio_stream::once(request)))
        .await
        .unwrap();
    let answer = soon(answers.into_inner().message()).await.unwrap().unwrap();
    let file = v1::server_reflection_response::MessageResponse::FileDescriptorResponse;
    assert_eq!(
        answer.message_response.as_ref().map(std::mem::discriminant),
        Some(std::mem::discriminant(&file(
            v1::FileDescriptorResponse::default()
        )))
    );

    let request = v1alpha::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(v1alpha::server_reflection_request::MessageRequest::ListServices(
            String::new(),
        )),
    };
    let mut client = v1alpha::server_reflection_client::ServerReflectionClient::new(view.channel.clone());
    let answers = soon(client.server_reflection_info(tokio_stream::once(request)))
        .await
        .unwrap();
    let answer = soon(answers.into_inner().message()).await.unwrap().unwrap();
    let Some(v1alpha::server_reflection_response::MessageResponse::ListServicesResponse(list)) =
        answer.message_response
    else {
        panic!("a list was expected")
    };
    let names: Vec<_> = list.service.iter().map(|service| service.name.as_str()).collect();
    assert!(
        names.contains(&SERVICE_NAME) && names.contains(&"grpc.health.v1.Health"),
        "{names:?}"
    );
}
