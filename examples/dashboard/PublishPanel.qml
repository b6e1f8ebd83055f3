// SPDX-License-Identifier: MIT
import QtQuick
import QtQuick.Controls.Basic
import QtQuick.Layouts
import AmqpQt

// A form for publishing, and the outcomes of the last messages.
Card {
    id: card

    required property Publisher publisher
    property string hint            // why nothing can be published now
    signal finished(bool success, string text)

    function publish() {
        const id = publisher.publish(bodyField.text, { routingKey: keyField.text })
        if (id === 0)
            return finished(false, publisher.errorString)
        history.insert(0, { id: id, key: keyField.text, body: bodyField.text, sentAt: Date.now(), status: "wait", note: "" })
        if (history.count > 20)
            history.remove(20)
    }

    Shortcut {
        sequences: ["Ctrl+Return", "Ctrl+Enter"]
        enabled: card.visible && button.enabled
        onActivated: card.publish()
    }
    ListModel { id: history }
    Connections {
        target: card.publisher
        function onSettled(id, error) {
            const success = error.kind === Amqp.ErrorKind.NoError
            const why = error.kind === Amqp.ErrorKind.Returned ? qsTr("no queue is bound with this key") : error.text
            for (let i = 0; i < history.count; ++i) {
                const entry = history.get(i)
                if (entry.id !== id)
                    continue
                entry.status = success ? "check" : "close"
                entry.note = success ? qsTr("%L1 ms").arg(Date.now() - entry.sentAt) : why
            }
            card.finished(success, success ? qsTr("The broker has confirmed the message") : qsTr("Not delivered: %1").arg(why))
        }
    }

    ColumnLayout {
        anchors.fill: parent
        spacing: Theme.small
        RowLayout {
            Heading { text: qsTr("Publish"); Layout.fillWidth: true }
            Caption { text: card.publisher.exchange; textFormat: Text.PlainText }
        }
        Field {
            id: keyField
            Layout.fillWidth: true
            text: "sensor.9.temperature"
            placeholderText: qsTr("Routing key")
        }
        TextArea {
            id: bodyField
            Layout.fillWidth: true
            Layout.preferredHeight: 72
            text: '{ "value": 21.5, "unit": "°C" }'
            placeholderText: qsTr("Body")
            wrapMode: TextEdit.Wrap
            padding: Theme.medium
            color: Theme.text
            placeholderTextColor: Theme.muted
            selectByMouse: true
            selectionColor: Theme.accent
            selectedTextColor: Theme.accentText
            font { family: Theme.monospace; pixelSize: Theme.body }
            KeyNavigation.priority: KeyNavigation.BeforeItem
            KeyNavigation.tab: button
            Accessible.name: placeholderText
            background: Rectangle {
                radius: Theme.small
                color: Theme.surface
                border.color: bodyField.activeFocus ? Theme.accent : Theme.control
                border.width: bodyField.activeFocus ? 2 : 1
            }
        }
        RowLayout {
            spacing: Theme.medium
            FlatButton {
                id: button
                text: qsTr("Publish")
                iconName: "send"
                highlighted: true
                enabled: card.publisher.writable
                onClicked: card.publish()
            }
            Caption {
                Layout.fillWidth: true
                text: card.publisher.writable ? qsTr("or Ctrl+Enter") : card.hint
                color: card.publisher.writable ? Theme.muted : Theme.warning
            }
        }
        Rectangle { Layout.fillWidth: true; Layout.topMargin: Theme.tiny; implicitHeight: 1; color: Theme.outline }
        Item {
            Layout.fillWidth: true
            Layout.fillHeight: true
            Layout.minimumHeight: 88
            ListView {
                id: list
                width: parent.width
                height: parent.height - parent.height % 44 - 1 // whole rows only
                clip: true
                model: history
                boundsBehavior: Flickable.StopAtBounds
                // qmllint disable unqualified
                delegate: PublishedItem {
                    width: list.width
                    onClicked: { keyField.text = key; bodyField.text = body }
                }
                // qmllint enable unqualified
                ScrollBar.vertical: ScrollBar {}
            }
            EmptyState {
                anchors.centerIn: parent
                visible: history.count === 0
                icon: "send"
                title: qsTr("Nothing published yet")
                text: qsTr("What you publish is listed here with its outcome.")
            }
        }
    }
}
