// SPDX-License-Identifier: MIT

// The same as recovery.cpp with the Java client, which recovers by itself:
//
//   java RecoveryClient queues --port P --number N --count LOSSES

import com.rabbitmq.client.Channel;
import com.rabbitmq.client.Connection;
import com.rabbitmq.client.ConnectionFactory;
import com.rabbitmq.client.DefaultConsumer;
import com.rabbitmq.client.Recoverable;
import com.rabbitmq.client.RecoveryListener;
import java.util.Map;
import java.util.concurrent.CountDownLatch;

public class RecoveryClient {
    private static final int QUEUES_OF_A_CHANNEL = 10;

    private static int option(String[] arguments, String name) {
        for (int i = 1; i + 1 < arguments.length; i += 2) {
            if (arguments[i].equals(name)) {
                return Integer.parseInt(arguments[i + 1]);
            }
        }
        throw new IllegalArgumentException(name + " is missing");
    }

    public static void main(String[] arguments) throws Exception {
        ConnectionFactory factory = new ConnectionFactory();
        factory.setHost("127.0.0.1");
        factory.setPort(option(arguments, "--port"));
        factory.setNetworkRecoveryInterval(200); // the first delay of recovery.cpp
        Connection connection = factory.newConnection();
        Channel channel = null;
        for (int i = 0; i < option(arguments, "--number"); ++i) {
            if (i % QUEUES_OF_A_CHANNEL == 0) {
                channel = connection.createChannel();
            }
            String queue = "recovery-" + i;
            channel.queueDeclare(queue, false, false, false, Map.of());
            channel.basicConsume(queue, false, new DefaultConsumer(channel));
        }

        int losses = option(arguments, "--count");
        CountDownLatch recoveries = new CountDownLatch(losses);
        ((Recoverable) connection).addRecoveryListener(new RecoveryListener() {
            @Override
            public void handleRecovery(Recoverable recoverable) {
                recoveries.countDown();
            }

            @Override
            public void handleRecoveryStarted(Recoverable recoverable) {
            }
        });
        recoveries.await();
        connection.close();
        System.out.println("{\"recoveries\":" + losses + "}");
    }
}
