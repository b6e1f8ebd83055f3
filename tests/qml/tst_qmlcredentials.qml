// SPDX-License-Identifier: MIT
import QtQuick
import QtTest
import AmqpQt

TestCase {
    id: testCase
    name: "Credentials"
    when: windowShown

    Component {
        id: askingConnections
        Connection {
            url: test.url.replace("guest:guest@", "")
            property var reasons: []
            property int openings: 0
            onCredentialsRequested: reason => reasons.push(reason)
            onOpened: ++openings
        }
    }
    Component {
        id: silentConnections
        Connection {
            url: test.url.replace("guest:guest@", "")
            property int openings: 0
            onOpened: ++openings
        }
    }

    function create() {
        const connection = createTemporaryObject(askingConnections, testCase)
        verify(connection)
        return connection
    }
    function tryReasons(connection, reasons) {
        tryVerify(() => connection.reasons.length >= reasons.length, 30000)
        compare(connection.reasons, reasons)
    }

    function test_connectionWaitsForTheAnswer() {
        const connection = create()
        connection.active = true
        tryReasons(connection, [Connection.FirstConnect])
        compare(connection.state, Connection.Connecting)
        connection.setCredentials("guest", "guest")
        tryCompare(connection, "connected", true, 30000)
        compare(connection.userName, "guest")
        compare(connection.password, "")
    }

    function test_withoutAHandlerTheDefaultsAreUsed() {
        const connection = createTemporaryObject(silentConnections, testCase, { active: true })
        tryCompare(connection, "connected", true, 30000)
        compare(connection.userName, "guest")
    }

    function test_knownCredentialsAreNotAskedFor() {
        const connection = create()
        connection.userName = "guest"
        connection.password = "guest"
        connection.active = true
        tryCompare(connection, "connected", true, 30000)
        compare(connection.reasons.length, 0)
    }

    function test_userNameWithoutAPasswordIsAskedFor() {
        const connection = create()
        connection.userName = "alice"
        connection.active = true
        tryReasons(connection, [Connection.FirstConnect]) // nothing was sent, or the broker would have refused it
        compare(connection.userName, "alice")
        connection.setCredentials("guest", "guest")
        tryCompare(connection, "connected", true, 30000)
        compare(connection.reasons.length, 1)
    }

    function test_refusedCredentialsAreAskedForAgain() {
        const connection = create()
        connection.password = "wrong"
        connection.active = true
        tryReasons(connection, [Connection.Refused])
        compare(connection.active, true)
        connection.setCredentials("guest", "guest")
        tryCompare(connection, "connected", true, 30000)
    }

    function test_closeEndsTheWait() {
        const connection = create()
        connection.active = true
        tryReasons(connection, [Connection.FirstConnect])
        connection.active = false
        tryCompare(connection, "state", Connection.Closed, 30000)
        compare(connection.openings, 0)
    }

    function test_expiringCredentialsAreRenewed() {
        const connection = create()
        connection.credentialsRequested.connect(() => connection.setCredentials("guest", "guest", 1))
        test.countReceived("connection.update-secret-ok")
        connection.active = true
        tryVerify(() => connection.reasons.length >= 3, 30000)
        verify(test.endOfCount() >= 1) // the broker accepted the first new secret; otherwise there is no second request
        compare(connection.reasons.slice(0, 3),
                [Connection.FirstConnect, Connection.ExpiresSoon, Connection.ExpiresSoon])
        compare(connection.openings, 1)
        verify(connection.connected)
    }

    function test_otherParametersLeaveTheCredentials() {
        const connection = create()
        connection.active = true
        tryReasons(connection, [Connection.FirstConnect])
        connection.setCredentials("guest", "guest")
        tryCompare(connection, "connected", true, 30000)
        connection.heartbeat = 17
        tryVerify(() => connection.openings === 2, 30000)
        compare(connection.heartbeat, 17)
        compare(connection.reasons.length, 1)
        connection.password = "wrong" // the latest credentials count
        tryReasons(connection, [Connection.FirstConnect, Connection.Refused])
    }

    function test_credentialsReplaceTheProperties() {
        const connection = createTemporaryObject(silentConnections, testCase, { password: "wrong" })
        connection.setCredentials("guest", "guest")
        connection.active = true
        tryCompare(connection, "connected", true, 30000)
        connection.password = "wrong"
        tryVerify(() => connection.errorString.includes("ACCESS_REFUSED"), 30000)
        compare(connection.error.kind, Amqp.ErrorKind.Authentication)
    }

    function test_invalidCredentialsChangeNothing_data() {
        return [
            { tag: "NUL", secret: "a\0b", validFor: 60, text: "credentials" },
            { tag: "no life", secret: "guest", validFor: 0, text: "validFor" },
            { tag: "negative life", secret: "guest", validFor: -5, text: "validFor" }
        ]
    }
    function test_invalidCredentialsChangeNothing(data) {
        const connection = create()
        connection.active = true
        tryReasons(connection, [Connection.FirstConnect])
        connection.setCredentials("guest", data.secret, data.validFor)
        verify(connection.lastCallError.text.includes(data.text), connection.lastCallError.text)
        verify(!connection.lastCallError.text.includes("b\""), connection.lastCallError.text)
        compare(connection.state, Connection.Connecting)
        connection.setCredentials("guest", "guest")
        tryCompare(connection, "connected", true, 30000)
    }
}
