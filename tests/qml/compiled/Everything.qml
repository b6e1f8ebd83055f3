// SPDX-License-Identifier: MIT
import QtQuick
import AmqpQt

// Reads every property of every type of the module. tst_compiled checks that none is missing.
QtObject {
    id: root
    required property url brokerUrl // with TLS, without credentials
    required property string authorities
    property string readings // the name of a queue

    readonly property var elements: ({
        Connection: theConnection, ConnectionStatistics: theStatistics, ConnectionTls: theTls, ConnectionRecovery: theRecovery, Exchange: theExchange, Queue: theQueue,
        QueueBinding: theQueueBinding, Consumer: theConsumer, Publisher: thePublisher, MessageModel: theMessageModel,
        LatestValueModel: theLatestValueModel, RateHistory: theRateHistory, StateBadge: theStateBadge
    })
    property amqpMessage theAmqpMessage // the first delivery
    property amqpError theAmqpError: theConnection.error
    property amqpQueueInfo theAmqpQueueInfo
    property amqpRecoveryReport theAmqpRecoveryReport
    property amqpDecimal theAmqpDecimal
    property amqpCertificate theAmqpCertificate: theConnection.tls.peerCertificate
    property int credentialReason: -1

    readonly property Connection theConnection: Connection {
        id: theConnection
        url: root.brokerUrl
        connectionName: "compiled"
        clientProperties: ({ "component": "tests" })
        tls.trustOnly: root.authorities
        recovery { maximumAttempts: 3; initialDelay: 2000; maximumDelay: 20000; calmAfter: 4000 }
        onRecovered: report => root.theAmqpRecoveryReport = report
        onCredentialsRequested: reason => {
            root.credentialReason = reason
            theConnection.setCredentials("guest", "guest")
        }
        Exchange { id: theExchange; name: "amq.topic"; type: Exchange.Topic; passive: true }
        Queue {
            id: theQueue
            name: root.readings
            exclusive: true
            durable: false
            messageTtl: 3000000000
            maximumLength: 100
            onDeclared: info => root.theAmqpQueueInfo = info
            QueueBinding { id: theQueueBinding; exchange: theExchange; routingKey: root.readings }
        }
        Consumer {
            id: theConsumer
            queue: theQueue
            ackMode: Amqp.AfterDelivery
            prefetch: 7
            onDelivered: message => root.theAmqpMessage = message
        }
        Publisher { id: thePublisher; exchange: "amq.topic"; routingKey: root.readings; lossPolicy: Publisher.Republish; outboxLimit: 3000000000 }
    }
    readonly property QtObject theStatistics: theConnection.statistics
    readonly property QtObject theTls: theConnection.tls
    readonly property QtObject theRecovery: theConnection.recovery
    readonly property MessageModel theMessageModel: MessageModel { id: theMessageModel; consumer: theConsumer; updateInterval: 1 }
    readonly property LatestValueModel theLatestValueModel: LatestValueModel { id: theLatestValueModel; consumer: theConsumer; updateInterval: 1 }
    readonly property RateHistory theRateHistory: RateHistory { id: theRateHistory; consumer: theConsumer; interval: 1000000 }
    readonly property StateBadge theBadge: StateBadge { id: theStateBadge; connection: theConnection }

    readonly property url connection_url: theConnection.url
    readonly property var connection_urls: theConnection.urls
    readonly property string connection_host: theConnection.host
    readonly property int connection_port: theConnection.port
    readonly property string connection_virtualHost: theConnection.virtualHost
    readonly property string connection_userName: theConnection.userName
    readonly property string connection_password: theConnection.password
    readonly property int connection_heartbeat: theConnection.heartbeat
    readonly property string connection_connectionName: theConnection.connectionName
    readonly property var connection_clientProperties: theConnection.clientProperties
    readonly property var connection_serverProperties: theConnection.serverProperties
    readonly property bool connection_active: theConnection.active
    readonly property int connection_state: theConnection.state
    readonly property bool connection_connected: theConnection.connected
    readonly property string connection_stateText: theConnection.stateText
    readonly property int connection_calmState: theConnection.calmState
    readonly property var connection_lostSince: theConnection.lostSince
    readonly property int connection_reconnectAttempt: theConnection.reconnectAttempt
    readonly property int connection_nextAttemptIn: theConnection.nextAttemptIn
    readonly property string connection_bannerText: theConnection.bannerText
    readonly property amqpError connection_error: theConnection.error
    readonly property amqpError connection_lastCallError: theConnection.lastCallError
    readonly property string connection_errorString: theConnection.errorString
    readonly property QtObject connection_statistics: theConnection.statistics
    readonly property QtObject connection_tls: theConnection.tls
    readonly property QtObject connection_recovery: theConnection.recovery
    readonly property var connection_data: theConnection.data
    readonly property bool connection_blocked: theConnection.blocked
    readonly property string connection_blockedReason: theConnection.blockedReason
    readonly property bool connection_writable: theConnection.writable
    readonly property real connection_bytesToWrite: theConnection.bytesToWrite

    readonly property real connectionStatistics_messagesIn: theStatistics.messagesIn
    readonly property real connectionStatistics_messagesOut: theStatistics.messagesOut
    readonly property real connectionStatistics_bytesIn: theStatistics.bytesIn
    readonly property real connectionStatistics_bytesOut: theStatistics.bytesOut
    readonly property real connectionStatistics_rateIn: theStatistics.rateIn
    readonly property real connectionStatistics_rateOut: theStatistics.rateOut

    readonly property bool connectionRecovery_enabled: theConnection.recovery.enabled
    readonly property int connectionRecovery_maximumAttempts: theConnection.recovery.maximumAttempts
    readonly property int connectionRecovery_initialDelay: theConnection.recovery.initialDelay
    readonly property int connectionRecovery_maximumDelay: theConnection.recovery.maximumDelay
    readonly property int connectionRecovery_calmAfter: theConnection.recovery.calmAfter

    readonly property bool connectionTls_enabled: theConnection.tls.enabled
    readonly property bool connectionTls_required: theConnection.tls.required
    readonly property string connectionTls_trustOnly: theConnection.tls.trustOnly
    readonly property string connectionTls_trustAlso: theConnection.tls.trustAlso
    readonly property string connectionTls_certificateFile: theConnection.tls.certificateFile
    readonly property string connectionTls_keyFile: theConnection.tls.keyFile
    readonly property string connectionTls_pkcs12File: theConnection.tls.pkcs12File
    readonly property string connectionTls_passphrase: theConnection.tls.passphrase
    readonly property string connectionTls_peerName: theConnection.tls.peerName
    readonly property amqpCertificate connectionTls_peerCertificate: theConnection.tls.peerCertificate

    readonly property string exchange_name: theExchange.name
    readonly property var exchange_type: theExchange.type
    readonly property bool exchange_durable: theExchange.durable
    readonly property bool exchange_autoDelete: theExchange.autoDelete
    readonly property bool exchange_internal: theExchange.internal
    readonly property bool exchange_passive: theExchange.passive
    readonly property var exchange_arguments: theExchange.arguments
    readonly property Connection exchange_connection: theExchange.connection
    readonly property string exchange_errorString: theExchange.errorString

    readonly property string queue_name: theQueue.name
    readonly property string queue_declaredName: theQueue.declaredName
    readonly property bool queue_durable: theQueue.durable
    readonly property bool queue_exclusive: theQueue.exclusive
    readonly property bool queue_autoDelete: theQueue.autoDelete
    readonly property bool queue_passive: theQueue.passive
    readonly property string queue_queueType: theQueue.queueType
    readonly property real queue_messageTtl: theQueue.messageTtl
    readonly property real queue_maximumLength: theQueue.maximumLength
    readonly property string queue_deadLetterExchange: theQueue.deadLetterExchange
    readonly property var queue_arguments: theQueue.arguments
    readonly property real queue_messageCount: theQueue.messageCount
    readonly property int queue_consumerCount: theQueue.consumerCount
    readonly property var queue_bindings: theQueue.bindings
    readonly property Connection queue_connection: theQueue.connection
    readonly property string queue_errorString: theQueue.errorString

    readonly property Exchange queueBinding_exchange: theQueueBinding.exchange
    readonly property string queueBinding_exchangeName: theQueueBinding.exchangeName
    readonly property string queueBinding_routingKey: theQueueBinding.routingKey
    readonly property var queueBinding_arguments: theQueueBinding.arguments
    readonly property Connection queueBinding_connection: theQueueBinding.connection
    readonly property string queueBinding_errorString: theQueueBinding.errorString

    readonly property Queue consumer_queue: theConsumer.queue
    readonly property string consumer_queueName: theConsumer.queueName
    readonly property bool consumer_active: theConsumer.active
    readonly property bool consumer_paused: theConsumer.paused
    readonly property int consumer_ackMode: theConsumer.ackMode
    readonly property int consumer_prefetch: theConsumer.prefetch
    readonly property bool consumer_exclusive: theConsumer.exclusive
    readonly property int consumer_priority: theConsumer.priority
    readonly property string consumer_consumerTag: theConsumer.consumerTag
    readonly property var consumer_arguments: theConsumer.arguments
    readonly property bool consumer_resubscribe: theConsumer.resubscribe
    readonly property int consumer_dispatchInterval: theConsumer.dispatchInterval
    readonly property bool consumer_subscribed: theConsumer.subscribed
    readonly property real consumer_totalCount: theConsumer.totalCount
    readonly property real consumer_rate: theConsumer.rate
    readonly property int consumer_unackedCount: theConsumer.unackedCount
    readonly property Connection consumer_connection: theConsumer.connection
    readonly property string consumer_errorString: theConsumer.errorString

    readonly property string publisher_exchange: thePublisher.exchange
    readonly property string publisher_routingKey: thePublisher.routingKey
    readonly property string publisher_contentType: thePublisher.contentType
    readonly property bool publisher_persistent: thePublisher.persistent
    readonly property bool publisher_mandatory: thePublisher.mandatory
    readonly property int publisher_window: thePublisher.window
    readonly property int publisher_lossPolicy: thePublisher.lossPolicy
    readonly property real publisher_outboxLimit: thePublisher.outboxLimit
    readonly property bool publisher_writable: thePublisher.writable
    readonly property real publisher_pressure: thePublisher.pressure
    readonly property int publisher_outstanding: thePublisher.outstanding
    readonly property Connection publisher_connection: thePublisher.connection
    readonly property string publisher_errorString: thePublisher.errorString

    readonly property Consumer messageModel_consumer: theMessageModel.consumer
    readonly property var messageModel_consumers: theMessageModel.consumers
    readonly property int messageModel_maximumCount: theMessageModel.maximumCount
    readonly property int messageModel_updateInterval: theMessageModel.updateInterval
    readonly property bool messageModel_paused: theMessageModel.paused
    readonly property var messageModel_columns: theMessageModel.columns
    readonly property string messageModel_filterRoutingKey: theMessageModel.filterRoutingKey
    readonly property int messageModel_count: theMessageModel.count
    readonly property real messageModel_totalCount: theMessageModel.totalCount
    readonly property real messageModel_droppedCount: theMessageModel.droppedCount

    readonly property Consumer latestValueModel_consumer: theLatestValueModel.consumer
    readonly property var latestValueModel_consumers: theLatestValueModel.consumers
    readonly property string latestValueModel_keyColumn: theLatestValueModel.keyColumn
    readonly property var latestValueModel_columns: theLatestValueModel.columns
    readonly property int latestValueModel_updateInterval: theLatestValueModel.updateInterval
    readonly property int latestValueModel_maximumCount: theLatestValueModel.maximumCount
    readonly property int latestValueModel_count: theLatestValueModel.count

    readonly property Consumer rateHistory_consumer: theRateHistory.consumer
    readonly property var rateHistory_consumers: theRateHistory.consumers
    readonly property int rateHistory_samples: theRateHistory.samples
    readonly property int rateHistory_interval: theRateHistory.interval
    readonly property var rateHistory_values: theRateHistory.values
    readonly property real rateHistory_maximum: theRateHistory.maximum

    readonly property Connection stateBadge_connection: theStateBadge.connection
    readonly property string stateBadge_text: theStateBadge.text
    readonly property color stateBadge_color: theStateBadge.color

    readonly property var amqpMessage_body: root.theAmqpMessage.body
    readonly property var amqpMessage_headers: root.theAmqpMessage.headers
    readonly property string amqpMessage_text: root.theAmqpMessage.text
    readonly property string amqpMessage_contentType: root.theAmqpMessage.contentType
    readonly property string amqpMessage_contentEncoding: root.theAmqpMessage.contentEncoding
    readonly property bool amqpMessage_persistent: root.theAmqpMessage.persistent
    readonly property int amqpMessage_priority: root.theAmqpMessage.priority
    readonly property string amqpMessage_correlationId: root.theAmqpMessage.correlationId
    readonly property string amqpMessage_replyTo: root.theAmqpMessage.replyTo
    readonly property string amqpMessage_messageId: root.theAmqpMessage.messageId
    readonly property date amqpMessage_timestamp: root.theAmqpMessage.timestamp
    readonly property string amqpMessage_type: root.theAmqpMessage.type
    readonly property string amqpMessage_userId: root.theAmqpMessage.userId
    readonly property string amqpMessage_appId: root.theAmqpMessage.appId
    readonly property string amqpMessage_exchange: root.theAmqpMessage.exchange
    readonly property string amqpMessage_routingKey: root.theAmqpMessage.routingKey
    readonly property string amqpMessage_consumerTag: root.theAmqpMessage.consumerTag
    readonly property real amqpMessage_deliveryTag: root.theAmqpMessage.deliveryTag
    readonly property string amqpMessage_clusterId: root.theAmqpMessage.clusterId
    readonly property bool amqpMessage_redelivered: root.theAmqpMessage.redelivered

    readonly property int amqpError_kind: root.theAmqpError.kind
    readonly property int amqpError_replyCode: root.theAmqpError.replyCode
    readonly property string amqpError_text: root.theAmqpError.text
    readonly property string amqpError_method: root.theAmqpError.method

    readonly property int amqpRecoveryReport_exchanges: root.theAmqpRecoveryReport.exchanges
    readonly property int amqpRecoveryReport_queues: root.theAmqpRecoveryReport.queues
    readonly property int amqpRecoveryReport_bindings: root.theAmqpRecoveryReport.bindings
    readonly property int amqpRecoveryReport_consumers: root.theAmqpRecoveryReport.consumers
    readonly property var amqpRecoveryReport_renamedQueues: root.theAmqpRecoveryReport.renamedQueues
    readonly property bool amqpRecoveryReport_complete: root.theAmqpRecoveryReport.complete
    readonly property var amqpRecoveryReport_failures: root.theAmqpRecoveryReport.failures

    readonly property string amqpQueueInfo_name: root.theAmqpQueueInfo.name
    readonly property real amqpQueueInfo_messageCount: root.theAmqpQueueInfo.messageCount
    readonly property real amqpQueueInfo_consumerCount: root.theAmqpQueueInfo.consumerCount

    readonly property int amqpDecimal_scale: root.theAmqpDecimal.scale
    readonly property real amqpDecimal_value: root.theAmqpDecimal.value

    readonly property string amqpCertificate_commonName: root.theAmqpCertificate.commonName
    readonly property string amqpCertificate_issuer: root.theAmqpCertificate.issuer
    readonly property date amqpCertificate_effectiveDate: root.theAmqpCertificate.effectiveDate
    readonly property date amqpCertificate_expiryDate: root.theAmqpCertificate.expiryDate
    readonly property bool amqpCertificate_expired: root.theAmqpCertificate.expired
    readonly property string amqpCertificate_fingerprint: root.theAmqpCertificate.fingerprint

    readonly property real largeHeader: root.theAmqpMessage.header("large", 0)

    // Enums by their names.
    readonly property bool isClosed: theConnection.state === Connection.Closed
    readonly property bool isOpen: theConnection.state === Connection.Open
    readonly property bool isFirstConnect: root.credentialReason === Connection.FirstConnect
    readonly property bool isAfterDelivery: theConsumer.ackMode === Amqp.AfterDelivery
    readonly property bool isNoError: theConnection.error.kind === Amqp.ErrorKind.NoError
    readonly property string stateName: {
        switch (theConnection.state) {
        case Connection.Closed: return "closed"
        case Connection.Open: return "open"
        default: return "between"
        }
    }
    function setManual() { theConsumer.ackMode = Amqp.Manual }
    function giveBack() { root.theAmqpMessage.nack(Amqp.Requeue.Yes) }
    function drop() { root.theAmqpMessage.nack(Amqp.Requeue.No) }
    function publish(text: string): real { return thePublisher.publish(text, { mandatory: undefined, headers: { large: 2592000000 } }) }
}
