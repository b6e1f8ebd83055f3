// SPDX-License-Identifier: MIT
import QtQuick
import QtQuick.Controls
import QtQuick.Layouts
import QtQuick.Shapes
import AmqpQt

ApplicationWindow {
    id: window

    property url brokerUrl: "amqp://guest:guest@localhost/%2F"
    property bool dark: false
    readonly property color warningColor: Qt.hsla(0, 0.75, palette.window.hslLightness > 0.5 ? 0.4 : 0.65, 1)

    visible: true
    width: 960
    height: 640
    title: qsTr("Sensor dashboard")
    Component.onCompleted: if (dark) {
        palette.window = palette.button = "#353535"
        palette.base = "#232323"
        palette.alternateBase = "#2b2b2b"
        palette.windowText = palette.buttonText = palette.text = "#f0f0f0"
        palette.mid = "#1c1c1c"
        palette.highlight = "#4fa3e3"
        palette.highlightedText = "#000000"
    }

    // ---------------------------------------------------------------- messaging
    Connection {
        id: broker
        url: window.brokerUrl
        active: true

        Exchange { id: sensors; name: "sensors"; type: Exchange.Topic }
        Queue {
            id: inbox
            exclusive: true                 // named by the broker, and gone with the connection
            arguments: ({ "x-max-length": 100000 })
            QueueBinding { exchange: sensors; routingKey: "sensor.#" }
        }
        Consumer {
            id: consumer
            objectName: "consumer"
            queue: inbox
            prefetch: 1000
            ackMode: Amqp.AfterDelivery
        }
        Publisher { id: publisher; exchange: sensors.name; contentType: "application/json" }
    }
    MessageModel {
        id: messages
        consumer: consumer
        columns: ["timestamp", "routingKey", "json.value", "text"]
        paused: pauseButton.checked
    }
    RateHistory { id: history; consumer: consumer; samples: 60 }

    // ---------------------------------------------------------------- view
    header: ToolBar {
        padding: 6
        RowLayout {
            anchors.fill: parent
            TextField {
                id: urlField
                Layout.fillWidth: true
                text: broker.url            // without the password
                Accessible.name: qsTr("Broker URL")
                onEditingFinished: if (text !== String(broker.url)) broker.url = text
            }
            Switch { text: qsTr("Online"); checked: broker.active; onToggled: broker.active = checked }
            StateBadge { connection: broker }
        }
    }
    ColumnLayout {
        anchors.fill: parent
        anchors.margins: 10
        Label {
            Layout.fillWidth: true
            visible: text !== ""
            text: broker.errorString || inbox.errorString || consumer.errorString || publisher.errorString
            color: window.warningColor
            wrapMode: Text.Wrap
        }
        RowLayout {
            Layout.fillWidth: true
            Label { text: qsTr("%L1 msg/s").arg(Math.round(consumer.rate)); font.pixelSize: 28; Layout.preferredWidth: 220 }
            Shape {                          // the last minute, without Qt Charts
                id: chart
                Layout.fillWidth: true
                Layout.preferredHeight: 90
                ShapePath {
                    strokeColor: window.palette.highlight
                    strokeWidth: 2
                    fillColor: "transparent"
                    PathPolyline { path: { history.values; return history.polyline(chart.width, chart.height) } }
                }
            }
        }
        RowLayout {                          // backpressure
            Layout.fillWidth: true
            Label { text: qsTr("Unconfirmed publishes") }
            ProgressBar { Layout.fillWidth: true; to: publisher.window; value: publisher.outstanding }
            Label {
                text: broker.blocked ? qsTr("Broker blocked") : publisher.writable || !broker.connected ? qsTr("OK") : qsTr("Full")
                color: broker.blocked || (broker.connected && !publisher.writable) ? window.warningColor : window.palette.windowText
            }
        }
        HorizontalHeaderView {
            syncView: table
            Layout.fillWidth: true
            clip: true
            implicitHeight: 26
            delegate: Label {
                id: heading
                required property string display
                text: display
                padding: 6
                verticalAlignment: Text.AlignVCenter
                elide: Text.ElideRight
                background: Rectangle { color: heading.palette.button; border.color: heading.palette.mid }
            }
        }
        TableView {
            id: table
            Layout.fillWidth: true
            Layout.fillHeight: true
            clip: true
            model: messages
            columnWidthProvider: column => [90, 200, 90, Math.max(200, table.width - 380)][column]
            rowHeightProvider: () => 22
            onWidthChanged: forceLayout()
            ScrollBar.vertical: ScrollBar {}
            delegate: Label {
                required property var display
                text: display instanceof Date ? Qt.formatTime(display, "hh:mm:ss") : display ?? ""
                textFormat: Text.PlainText   // whatever somebody has published
                font.preferShaping: false    // ligatures would cost time with each change
                leftPadding: 6
                verticalAlignment: Text.AlignVCenter
                elide: Text.ElideRight
            }
        }
        RowLayout {                          // publish form
            Layout.fillWidth: true
            TextField { id: keyField; text: "sensor.9.temperature"; Layout.preferredWidth: 220; Accessible.name: qsTr("Routing key") }
            TextField { id: bodyField; text: "{\"value\": 42}"; Layout.fillWidth: true; Accessible.name: qsTr("Body") }
            Button {
                text: qsTr("Publish")
                enabled: broker.connected && publisher.writable
                onClicked: publisher.publish(bodyField.text, { routingKey: keyField.text })
            }
            Button { id: pauseButton; text: qsTr("Pause view"); checkable: true }
        }
    }
}
