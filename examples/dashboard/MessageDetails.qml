// SPDX-License-Identifier: MIT
import QtQuick
import QtQuick.Controls.Basic
import QtQuick.Layouts

// Shows a complete message: properties, headers and body.
Card {
    id: card

    property var message            // an AmqpQt::Message
    property int maximumLength: 20000 // characters of the body to show; the layout of more would stall the window
    signal closed()

    readonly property var properties: {
        if (!message)
            return []
        const m = message
        const all = [
            [qsTr("Exchange"), m.exchange], [qsTr("Routing key"), m.routingKey],
            [qsTr("Time"), isNaN(m.timestamp) ? "" : Qt.formatDateTime(m.timestamp, "yyyy-MM-dd hh:mm:ss")],
            [qsTr("Content type"), m.contentType], [qsTr("Encoding"), m.contentEncoding],
            [qsTr("Persistent"), m.persistent ? qsTr("yes") : qsTr("no")], [qsTr("Priority"), m.priority < 0 ? "" : m.priority],
            [qsTr("Type"), m.type], [qsTr("Message id"), m.messageId], [qsTr("Correlation id"), m.correlationId],
            [qsTr("Reply to"), m.replyTo], [qsTr("Application"), m.appId], [qsTr("User"), m.userId],
            [qsTr("Delivery"), m.redelivered ? qsTr("%1, again").arg(m.deliveryTag) : m.deliveryTag]
        ]
        return all.filter(entry => entry[1] !== "")
    }
    readonly property var headers: !message ? [] : Object.entries(message.headers).map(([name, header]) => {
        const value = readable("", header)
        return [name, typeof value === "object" ? JSON.stringify(value, readable) : value]
    })
    readonly property string prettyBody: {
        const text = message?.text ?? ""
        if (text.length > maximumLength)
            return text.slice(0, maximumLength) + "…"
        try {
            return JSON.stringify(JSON.parse(text), null, 2)
        } catch (error) {
            return text             // not JSON
        }
    }

    function readable(key, value) { // bytes and decimals, which JSON represents as empty objects
        if (value instanceof ArrayBuffer)
            return qsTr("%L1 bytes").arg(value.byteLength)
        return typeof value?.toDouble === "function" ? value.toString() : value
    }

    padding: 1                      // the border
    bottomPadding: Theme.small
    onMessageChanged: flickable.contentY = 0

    component Section: Caption {
        Layout.fillWidth: true
        Layout.topMargin: Theme.small
        font.bold: true
        Accessible.role: Accessible.Heading
        Accessible.name: text
    }
    component Entries: GridLayout {
        id: entries
        property var model: []
        columns: 2
        columnSpacing: Theme.large
        rowSpacing: Theme.tiny
        Layout.fillWidth: true
        Repeater {
            model: entries.model.length * 2
            // qmllint disable unqualified
            Label {
                required property int index
                readonly property bool isName: index % 2 === 0
                text: entries.model[index >> 1]?.[index % 2] ?? ""
                textFormat: Text.PlainText
                color: isName ? Theme.muted : Theme.text
                font.pixelSize: Theme.body
                wrapMode: Text.WrapAnywhere
                Layout.fillWidth: !isName
                Layout.minimumWidth: isName ? 104 : 0
                Layout.maximumWidth: isName ? 144 : Infinity
                Layout.alignment: Qt.AlignTop
            }
            // qmllint enable unqualified
        }
    }

    ColumnLayout {
        anchors.fill: parent
        spacing: 0
        RowLayout {
            Layout.margins: Theme.medium
            Layout.leftMargin: Theme.large
            spacing: Theme.small
            Heading { text: card.message?.routingKey ?? ""; textFormat: Text.PlainText; Layout.fillWidth: true }
            FlatButton {
                iconName: "copy"
                Accessible.name: qsTr("Copy the body")
                onClicked: { body.selectAll(); body.copy(); body.deselect() }
            }
            FlatButton { iconName: "close"; Accessible.name: qsTr("Close the details"); onClicked: card.closed() }
        }
        Rectangle { Layout.fillWidth: true; implicitHeight: 1; color: Theme.outline }
        Flickable {
            id: flickable
            Layout.fillWidth: true
            Layout.fillHeight: true
            clip: true
            boundsBehavior: Flickable.StopAtBounds
            contentHeight: column.implicitHeight + 2 * Theme.large
            ScrollBar.vertical: ScrollBar {}
            ColumnLayout {
                id: column
                x: Theme.large
                y: Theme.small
                width: flickable.width - 2 * Theme.large
                spacing: Theme.small
                Section { text: qsTr("Body, %L1 bytes").arg(card.message?.body.byteLength ?? 0) }
                TextArea {
                    id: body
                    Layout.fillWidth: true
                    text: card.prettyBody
                    readOnly: true
                    selectByMouse: true
                    textFormat: TextEdit.PlainText
                    wrapMode: TextEdit.WrapAnywhere
                    padding: Theme.medium
                    color: Theme.text
                    selectionColor: Theme.accent
                    selectedTextColor: Theme.accentText
                    font { family: Theme.monospace; pixelSize: Theme.body }
                    background: Rectangle { radius: Theme.small; color: Theme.raised }
                    Accessible.name: qsTr("Body")
                }
                Section { text: qsTr("Properties") }
                Entries { model: card.properties }
                Section { text: qsTr("Headers") }
                Entries { model: card.headers; visible: card.headers.length > 0 }
                Caption { text: qsTr("This message has none."); visible: card.headers.length === 0; font.pixelSize: Theme.body }
            }
        }
    }
}
