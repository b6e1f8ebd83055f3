// SPDX-License-Identifier: MIT
import QtQuick
import QtTest
import AmqpQt

TestCase {
    id: testCase
    name: "Tls"
    when: windowShown

    Component {
        id: connections
        Connection {
            property var rejections: []
            property int openings: 0
            onSslErrors: errors => rejections.push(errors)
            onOpened: ++openings
        }
    }
    Component {
        id: declared
        Connection {
            url: test.tlsUrl
            active: true
            tls {
                trustOnly: test.certificate("ca.pem")
                required: true
            }
            readonly property string broker: tls.peerCertificate.commonName // follows the connection
        }
    }
    Component {
        id: spies
        SignalSpy {}
    }

    function create(url) {
        const connection = createTemporaryObject(connections, testCase, { url: url })
        verify(connection)
        return connection
    }
    function createTrusting(url) {
        const connection = create(url)
        connection.tls.trustOnly = test.certificate("ca.pem")
        return connection
    }
    function verifyOpens(connection) {
        connection.active = true
        tryVerify(() => connection.connected || connection.errorString !== "", 30000)
        compare(connection.errorString, "")
    }
    function verifyFails(connection, kind, text) {
        connection.active = true
        tryVerify(() => connection.errorString !== "", 30000)
        verify(connection.errorString.includes(text), connection.errorString)
        compare(connection.error.kind, kind)
        verify(!connection.connected)
    }
    function externalUrl() {
        return test.tlsUrl.replace("guest:guest@", "") + "?auth_mechanism=external"
    }

    function test_groupConnects() {
        const connection = createTemporaryObject(declared, testCase)
        compare(connection.tls.enabled, true)
        tryCompare(connection, "connected", true, 30000)
        compare(connection.broker, "localhost")
    }

    function test_untrustedBrokerIsRejected() {
        const connection = create(test.tlsUrl)
        verifyFails(connection, Amqp.ErrorKind.Tls, "trustOnly()")
        tryVerify(() => connection.rejections.length === 1, 30000)
        verify(connection.rejections[0].length > 0)
        compare(typeof connection.rejections[0][0], "string")
        verify(connection.rejections[0][0] !== "")
        connection.tls.trustOnly = test.certificate("ca.pem") // connects again
        tryCompare(connection, "connected", true, 30000)
    }

    function test_otherAuthoritiesMayBeTrustedAsWell() {
        const connection = create(test.tlsUrl)
        connection.tls.trustOnly = test.certificate("foreign-ca.pem")
        verifyFails(connection, Amqp.ErrorKind.Tls, "trustOnly()")
        connection.tls.trustAlso = test.certificate("ca.pem")
        tryCompare(connection, "connected", true, 30000)
        compare(connection.tls.trustAlso, test.certificate("ca.pem"))
        connection.tls.trustOnly = undefined // besides those of the system
        tryVerify(() => connection.openings === 2, 30000)
        compare(connection.tls.trustOnly, "")
        compare(connection.tls.trustAlso, test.certificate("ca.pem"))
    }

    function test_urlHasTheSameSettings() {
        const connection = create(test.tlsUrl + "?cacertfile=" + encodeURIComponent(test.certificate("ca.pem"))
                                  + "&server_name_indication=localhost")
        compare(connection.tls.enabled, true)
        compare(connection.tls.trustOnly, test.certificate("ca.pem"))
        compare(connection.tls.peerName, "localhost")
        verifyOpens(connection)
    }

    function test_certificateReplacesThatOfTheUrlWithItsKey() {
        const file = name => encodeURIComponent(test.certificate(name))
        const connection = createTrusting(test.tlsUrl + "?certfile=" + file("server.pem")
                                          + "&keyfile=" + file("server.key"))
        compare(connection.tls.keyFile, test.certificate("server.key"))
        connection.tls.certificateFile = test.certificate("client.pem")
        compare(connection.tls.keyFile, "") // the file of the certificate has the key as well
        connection.tls.keyFile = test.certificate("client.key")
        verifyOpens(connection)
    }

    function test_filesMayBeUrls() {
        const connection = create(test.tlsUrl)
        connection.tls.trustOnly = "file://" + test.certificate("ca.pem")
        compare(connection.tls.trustOnly, test.certificate("ca.pem"))
        verifyOpens(connection)
    }

    function test_hostAndPortAreEncrypted() {
        const authority = test.tlsUrl.match(/@(.*):(\d+)\//)
        const connection = createTemporaryObject(connections, testCase)
        connection.tls.trustOnly = test.certificate("ca.pem")
        connection.host = authority[1]
        connection.port = Number(authority[2])
        compare(connection.tls.enabled, false)
        connection.tls.enabled = true
        verifyOpens(connection)
        compare(connection.tls.peerCertificate.commonName, "localhost")
    }

    function test_requiredTlsPreventsPlainConnections() {
        const connection = createTrusting(test.url)
        connection.tls.required = true
        verifyFails(connection, Amqp.ErrorKind.InvalidArgument, "tlsRequired")
        connection.url = test.tlsUrl
        tryCompare(connection, "connected", true, 30000)
    }

    function test_peerNameIsVerified() {
        const connection = createTrusting(test.tlsUrl)
        connection.tls.peerName = "broker.example"
        verifyFails(connection, Amqp.ErrorKind.Tls, "broker.example")
        connection.tls.peerName = undefined
        tryCompare(connection, "connected", true, 30000)
    }

    function test_certificateOfTheBrokerIsRead() {
        const connection = createTrusting(test.tlsUrl)
        const spy = createTemporaryObject(spies, testCase, { target: connection.tls, signalName: "peerCertificateChanged" })
        compare(connection.tls.peerCertificate.commonName, "")
        compare(connection.tls.peerCertificate.issuer, "")
        compare(connection.tls.peerCertificate.fingerprint, "")
        compare(connection.tls.peerCertificate.expired, false)
        verifyOpens(connection)
        const certificate = connection.tls.peerCertificate
        compare(certificate.commonName, "localhost")
        compare(certificate.issuer, "Test CA")
        verify(certificate.effectiveDate < new Date())
        verify(certificate.expiryDate > new Date())
        compare(certificate.expired, false)
        verify(/^([0-9A-F]{2}:){31}[0-9A-F]{2}$/.test(certificate.fingerprint), certificate.fingerprint)
        compare(spy.count, 1)
    }

    function test_rejectedCertificateIsRead() {
        const connection = create(test.tlsUrl)
        verifyFails(connection, Amqp.ErrorKind.Tls, "Test CA")
        compare(connection.tls.peerCertificate.issuer, "Test CA")
    }

    function test_clientCertificateLogsIn_data() {
        return [
            { tag: "PEM", certificateFile: "client.pem", keyFile: "client.key" },
            { tag: "encrypted key", certificateFile: "client.pem", keyFile: "client-encrypted.key", encrypted: true },
            { tag: "PKCS#12", pkcs12File: "client.p12", encrypted: true }
        ]
    }
    function test_clientCertificateLogsIn(data) {
        const connection = createTrusting(externalUrl())
        for (const property of ["certificateFile", "keyFile", "pkcs12File"]) {
            if (data[property])
                connection.tls[property] = test.certificate(data[property])
        }
        if (data.encrypted) {
            connection.tls.passphrase = "mistaken"
            verifyFails(connection, Amqp.ErrorKind.Tls, "passphrase")
            verify(!connection.errorString.includes("mistaken"), connection.errorString)
            connection.tls.passphrase = test.passphrase
            tryCompare(connection, "connected", true, 30000)
        } else {
            verifyOpens(connection)
        }
        compare(connection.tls.passphrase, "")
        for (const property of ["certificateFile", "keyFile", "pkcs12File"])
            compare(connection.tls[property], data[property] ? test.certificate(data[property]) : "")
    }

    function test_certificateIsNeededToLogInByIt() {
        verifyFails(createTrusting(externalUrl()), Amqp.ErrorKind.Authentication, "EXTERNAL")
    }

    function test_unusableFilesAreNamed_data() {
        return [
            { tag: "trustOnly", name: "trustOnly", value: "/nonexistent/ca.pem", text: "/nonexistent/ca.pem" },
            { tag: "trustAlso", name: "trustAlso", value: "/nonexistent/ca.pem", text: "/nonexistent/ca.pem" },
            { tag: "certificateFile", name: "certificateFile", value: "/nonexistent/client.pem", text: "/nonexistent/client.pem" },
            { tag: "pkcs12File", name: "pkcs12File", value: "/nonexistent/client.p12", text: "/nonexistent/client.p12" }
        ]
    }
    function test_unusableFilesAreNamed(data) {
        const connection = createTrusting(test.tlsUrl)
        connection.tls[data.name] = data.value
        verifyFails(connection, Amqp.ErrorKind.Tls, data.text)
        connection.tls[data.name] = data.name === "trustOnly" ? test.certificate("ca.pem") : undefined
        tryCompare(connection, "connected", true, 30000)
    }

    function test_emptyFileNameIsNoAuthority() {
        const connection = create(test.tlsUrl)
        connection.tls.trustOnly = ""
        verifyFails(connection, Amqp.ErrorKind.InvalidArgument, "authorityFiles")
    }

    function test_severalSettingsConnectOnce() {
        const connection = createTrusting(test.tlsUrl)
        verifyOpens(connection)
        connection.tls.certificateFile = test.certificate("client.pem")
        connection.tls.keyFile = test.certificate("client.key")
        tryVerify(() => connection.openings === 2, 30000)
        wait(50)
        compare(connection.openings, 2)
    }
}
