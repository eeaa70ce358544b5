//! Pods and their tokens.

use std::sync::Mutex;

use super::*;

fn of(server: Server) -> Authenticator {
    Authenticator::of_sources(server, None, right_clock(), grants())
}

#[test]
fn a_pod_is_let_in_and_asked_about_again_after_ten_seconds() {
    paused(async {
        let (server, asked) = server(|| Some(pod_review()));
        let authenticator = of(server);
        authenticator.audit().tell_successes(true);
        let token = token(&pod_claims());
        let first = show(&authenticator, &token).await.unwrap();
        assert_eq!(first.credential, Credential::Ours);
        assert_eq!(first.session.principal.by(), "sa:openclaw/worker");
        let woke = record_of(&first.session.principal, GatewayEvent::Wake);
        assert_eq!(
            (woke.namespace, woke.service_account, woke.pod_uid, woke.sub),
            ("openclaw", "worker", "9e5c", "")
        );
        assert_eq!(first.session.permissions.roles, ["node"]);
        assert_eq!(first.session.credential_id.as_deref(), Some("JTI=1"));
        let [line] = authenticator.audit().take_written().try_into().unwrap();
        assert_eq!(line["event"], "k8s-auth-success");
        assert_eq!(line["nodeName"], "node-1");
        for _ in 0..100 {
            let again = show(&authenticator, &token).await.unwrap();
            assert!(Arc::ptr_eq(&first.session, &again.session));
        }
        assert_eq!(asked.load(Relaxed), 1);
        tokio::time::advance(Duration::from_secs(10)).await;
        show(&authenticator, &token).await.unwrap();
        assert_eq!(asked.load(Relaxed), 2);
        assert_eq!(authenticator.sizes(), (1, 0, 0));
    });
}

#[test]
fn many_who_show_one_token_ask_once() {
    paused(async {
        let (server, asked) = server(|| Some(pod_review()));
        let authenticator = of(server);
        let token = Arc::new(token(&pod_claims()));
        let tasks = (0..200).map(|number: u32| {
            let (authenticator, token) = (authenticator.clone(), Arc::clone(&token));
            tokio::spawn(async move {
                let shown = show(&authenticator, &token);
                // The first ones leave while they wait.
                let patience = Duration::from_micros(if number < 3 { 10 } else { 1_000_000 });
                tokio::time::timeout(patience, shown).await
            })
        });
        let tasks: Vec<_> = tasks.collect();
        let mut taken = 0;
        for task in tasks {
            taken += u32::from(task.await.unwrap().is_ok_and(|caller| caller.is_ok()));
        }
        assert_eq!(taken, 197);
        // Whoever leaves takes their question along, and another one asks it.
        assert!(asked.load(Relaxed) <= 4, "{asked:?}");
        assert_eq!(authenticator.sizes(), (1, 0, 0));
    });
}

#[test]
fn at_most_five_questions_are_asked_at_once() {
    paused(async {
        let now_asked = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&now_asked);
        let (server, asked) = server(move || {
            counted.fetch_add(1, Relaxed);
            Some(pod_review())
        });
        let authenticator = of(server);
        let began = Instant::now();
        let tasks = (0..50).map(|number: u32| {
            let mut claims = pod_claims();
            claims["jti"] = json!(number);
            let (authenticator, token) = (authenticator.clone(), token(&claims));
            tokio::spawn(async move { show(&authenticator, &token).await.is_ok() })
        });
        for task in tasks.collect::<Vec<_>>() {
            assert!(task.await.unwrap());
        }
        assert_eq!(asked.load(Relaxed), 50);
        // Each takes 2 ms.
        assert!(
            began.elapsed() >= Duration::from_millis(20),
            "{:?}",
            began.elapsed()
        );
    });
}

#[test]
fn rubbish_costs_no_question_and_blocks_nobody() {
    paused(async {
        let (server, asked) = server(|| Some(pod_review()));
        let authenticator = of(server);
        let of = |name: &str, value: Value| {
            let mut claims = pod_claims();
            claims[name] = value;
            token(&claims)
        };
        let good = token(&pod_claims());
        for rubbish in [
            String::new(),
            "x".to_owned(),
            "a.b".to_owned(),
            "a.b.c".to_owned(),
            "a.b.c.d.e".to_owned(),
            format!("{good}.x"),
            "A".repeat(8 * 1024 + 1),
            format!("{}.{}.x", base64("{}"), base64("[".repeat(5_000))),
            of("aud", json!(["https://kubernetes.default.svc"])),
            of("aud", json!(["openclaw-gateway2"])),
            of("aud", json!({"openclaw-gateway": true})),
            of("aud", json!([AUDIENCE, 7])),
            of("aud", Value::Null),
            of("exp", json!(now() - 61)),
            of("exp", json!("9999999999")),
            of("exp", json!(1e300)),
            of("exp", json!(-1)),
            of("exp", Value::Null),
        ] {
            let shown = show(&authenticator, &rubbish).await;
            assert!(
                matches!(shown, Err(AuthFault::Unauthorized(_))),
                "{rubbish}"
            );
        }
        let mut random = 1_u64;
        for _ in 0..10_000 {
            let mut bytes = [0; 60];
            for byte in &mut bytes {
                random = random
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                *byte = (random >> 33) as u8;
            }
            let rubbish = format!("{}.{}.{}", base64(bytes), base64(bytes), base64(bytes));
            assert!(show(&authenticator, &rubbish).await.is_err());
        }
        assert_eq!(asked.load(Relaxed), 0);
        assert_eq!(authenticator.sizes(), (0, 0, 0));
        assert!(show(&authenticator, &good).await.is_ok());
    });
}

#[test]
fn what_the_server_refuses_is_refused_and_costs_its_peer() {
    paused(async {
        type Change = fn(&mut TokenReview);
        let cases: [(Change, AuthFault); 6] = [
            (
                |review| review.authenticated = false,
                AuthFault::Unauthorized("not accepted by the API server"),
            ),
            (
                |review| review.audiences = vec!["https://kubernetes".to_owned()],
                AuthFault::Unauthorized("not accepted for this audience"),
            ),
            (
                |review| review.username = "system:node:a".to_owned(),
                AuthFault::Unauthorized("no service account"),
            ),
            (
                |review| (review.pod_name, review.pod_uid) = (None, None),
                AuthFault::Unauthorized("bound to no pod"),
            ),
            (
                |review| review.username = "system:serviceaccount:openclaw:other".to_owned(),
                AuthFault::Forbidden,
            ),
            (
                |review| review.username = "system:serviceaccount:openclaw2:worker".to_owned(),
                AuthFault::Forbidden,
            ),
        ];
        for (change, fault) in cases {
            let (server, asked) = server(move || {
                let mut review = pod_review();
                change(&mut review);
                Some(review)
            });
            let authenticator = of(server);
            let token = token(&pod_claims());
            for _ in 0..20 {
                assert_eq!(show(&authenticator, &token).await, Err(fault));
            }
            // Nothing is remembered of a failure but that there were many.
            assert_eq!(show(&authenticator, &token).await, Err(AuthFault::TooMany));
            assert_eq!(asked.load(Relaxed), 20);
            assert_eq!(authenticator.sizes(), (0, 0, 1));
            tokio::time::advance(Duration::from_secs(1)).await;
            assert_eq!(show(&authenticator, &token).await, Err(fault));
        }
    });
}

#[test]
fn a_token_of_two_audiences_is_refused() {
    paused(async {
        let (server, _) = server(|| Some(pod_review()));
        let authenticator = of(server);
        let mut claims = pod_claims();
        claims["aud"] = json!([AUDIENCE, "https://kubernetes.default.svc"]);
        assert_eq!(
            show(&authenticator, &token(&claims)).await,
            Err(AuthFault::Unauthorized("more than one audience"))
        );
        claims["aud"] = json!([AUDIENCE, AUDIENCE]);
        assert!(show(&authenticator, &token(&claims)).await.is_err());
        claims["aud"] = json!(AUDIENCE);
        assert!(show(&authenticator, &token(&claims)).await.is_ok());
    });
}

#[test]
fn without_the_server_nobody_is_let_in_and_open_sockets_stay() {
    paused(async {
        let answer = Arc::new(Mutex::new(Some(pod_review())));
        let given = Arc::clone(&answer);
        let (server, _) = server(move || given.lock().unwrap().clone());
        let authenticator = of(server);
        let token = token(&pod_claims());
        let open = show(&authenticator, &token).await.unwrap().session;
        *answer.lock().unwrap() = None;
        assert!(
            show(&authenticator, &token).await.is_ok(),
            "within ten seconds"
        );
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(
            show(&authenticator, &token).await,
            Err(AuthFault::Unavailable)
        );
        let stays = authenticator.check_again(&open, &origin()).await.unwrap();
        assert!(Arc::ptr_eq(&stays, &open));
        // Its pod is gone.
        *answer.lock().unwrap() = Some(TokenReview::default());
        let refused = AuthFault::Unauthorized("not accepted by the API server");
        let again = authenticator.check_again(&open, &origin()).await;
        assert_eq!(again, Err(refused));
        let [line] = authenticator.audit().take_written().try_into().unwrap();
        for (name, text) in [
            ("event", "k8s-auth-failed"),
            ("namespace", "openclaw"),
            ("serviceAccount", "worker"),
            ("podUid", "9e5c"),
            ("remoteIp", "10.244.1.5"),
            ("reason", "not accepted by the API server"),
        ] {
            assert_eq!(line[name], text, "{line}");
        }
        let page = authenticator.metrics().shown();
        assert!(page.contains("openclaw_k8s_auth_attempts_total{result=\"failed\"} 0\n"));
        assert_eq!(show(&authenticator, &token).await, Err(refused));
        assert_eq!(authenticator.sizes().0, 0);
    });
}

#[test]
fn a_socket_ends_with_its_token_and_with_its_right() {
    paused(async {
        let (server, _) = server(|| Some(pod_review()));
        let authenticator = of(server);
        let mut claims = pod_claims();
        claims["exp"] = json!(now() - 30);
        // The API server has a leeway, and it was open within it.
        let open = show(&authenticator, &token(&claims)).await.unwrap().session;
        let expired = Err(AuthFault::Unauthorized("expired"));
        assert_eq!(authenticator.check_again(&open, &origin()).await, expired);
        let open = show(&authenticator, &token(&pod_claims()))
            .await
            .unwrap()
            .session;
        authenticator.reload(&file(Grants::default()));
        assert_eq!(
            authenticator.check_again(&open, &origin()).await,
            Err(AuthFault::Forbidden)
        );
        let nobody = authenticator.anonymous();
        assert!(authenticator.check_again(&nobody, &origin()).await.is_ok());
    });
}

#[test]
fn sessions_are_counted_from_none_after_the_file_was_read_again() {
    paused(async {
        let (server, _) = server(|| Some(pod_review()));
        let mut any = grants();
        any.identities[0].namespace = None;
        let authenticator = of(server);
        authenticator.reload(&file(any.clone()));
        let token = token(&pod_claims());
        let shown = |namespace: &str, count: i32| {
            let line =
                format!("openclaw_k8s_sessions_active{{namespace=\"{namespace}\"}} {count}\n");
            let page = authenticator.metrics().shown();
            assert!(page.contains(&line), "{line}{page}");
        };
        for (grants, namespace) in [
            (any.clone(), "other"),
            (grants(), "openclaw"),
            (any, "openclaw"),
        ] {
            authenticator.reload(&file(grants));
            shown(namespace, 0);
            show(&authenticator, &token).await.unwrap();
            shown(namespace, 1);
        }
        authenticator.reload(&file(Grants::default()));
        shown("other", 0);
        shown("openclaw", 0);
    });
}

#[test]
fn what_is_remembered_has_a_limit_and_an_end() {
    paused(async {
        let (server, _) = server(|| Some(pod_review()));
        let authenticator = of(server);
        for number in 0..5_000 {
            let mut claims = pod_claims();
            claims["jti"] = json!(number);
            show(&authenticator, &token(&claims)).await.unwrap();
        }
        assert_eq!(authenticator.sizes(), (4_096, 0, 0));
        let page = authenticator.metrics().shown();
        assert!(page.contains("openclaw_k8s_auth_attempts_total{result=\"success\"} 5000\n"));
        assert!(page.contains("openclaw_k8s_sessions_active{namespace=\"other\"} 4096\n"));
        let running = tokio::spawn(authenticator.clone().run());
        tokio::time::sleep(Duration::from_secs(131)).await;
        running.abort();
        assert_eq!(authenticator.sizes(), (0, 0, 0));
        let page = authenticator.metrics().shown();
        assert!(page.contains("openclaw_k8s_sessions_active{namespace=\"other\"} 0\n"));
    });
}

#[test]
fn large_tokens_are_kept_within_a_number_of_bytes() {
    paused(async {
        let (server, _) = server(|| Some(pod_review()));
        let authenticator = of(server);
        for number in 0..1_200 {
            let mut claims = pod_claims();
            claims["x"] = json!(format!("{number}{}", "x".repeat(5_500)));
            show(&authenticator, &token(&claims)).await.unwrap();
        }
        let (sessions, ..) = authenticator.sizes();
        assert!((500..800).contains(&sessions), "{sessions}");
    });
}

#[test]
fn credentials_that_are_not_for_the_gateway_are_the_apps() {
    paused(async {
        let (server, asked) = server(|| None);
        let authenticator = of(server);
        let shown = |lines: &[&str], is_public| {
            let lines = lines
                .iter()
                .map(|line| (AUTHORIZATION, line.parse().unwrap()));
            let headers: HeaderMap = lines.collect();
            let authenticator = authenticator.clone();
            async move {
                authenticator
                    .authenticate(&headers, &origin(), is_public)
                    .await
            }
        };
        let credential = |caller: Result<Caller, AuthFault>| {
            caller.map(|caller| {
                assert!(caller.session.is_nobody());
                caller.credential
            })
        };
        for is_public in [false, true] {
            assert_eq!(
                credential(shown(&[], is_public).await),
                Ok(Credential::None)
            );
            for line in ["Basic eDp5", "Bearerish x", "Digest a=b", "Negotiate x", ""] {
                let other = credential(shown(&[line], is_public).await);
                assert_eq!(other, Ok(Credential::Theirs), "{line}");
            }
            let two = shown(&["Basic eDp5", "Bearer x"], is_public).await;
            assert_eq!(two, Err(AuthFault::Unauthorized("two credentials")));
        }
        let refused = Err(AuthFault::Unauthorized("not for the gateway"));
        for line in [
            "Bearer opaque",
            "bearer a.b.c",
            "Bearer",
            "BEARER  x, Basic y",
            "Bearer \u{e4}",
        ] {
            assert_eq!(
                credential(shown(&[line], true).await),
                Ok(Credential::Theirs),
                "{line}"
            );
            assert_eq!(credential(shown(&[line], false).await), refused, "{line}");
        }
        // One that is for the gateway never reaches an app.
        let mut old = pod_claims();
        old["exp"] = json!(now() - 100);
        let old = format!("Bearer {}", token(&old));
        let expired = Err(AuthFault::Unauthorized("expired"));
        assert_eq!(credential(shown(&[&old], true).await), expired);
        assert_eq!(asked.load(Relaxed), 0);
    });
}
